"""What the command ``results`` does: a line for each stored result, or one result in full."""

import json
import re
import shutil
import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from influence_lib.errors import reject
from influence_lib.store import Entry, entries, repository

__all__ = ["results"]

HASH = re.compile(r"[0-9a-f]{16,}")


def results(arguments: Namespace) -> None:
    """Print the results that were asked for."""
    listed = entries(arguments.root)
    if arguments.kind is not None:
        kinds = sorted({entry.kind for entry in listed})
        if arguments.kind not in kinds:
            reject("--kind", arguments.kind, kinds if kinds else "left out: there are no results yet")
        listed = [entry for entry in listed if entry.kind == arguments.kind]
    if arguments.name is not None:
        listed = [entry for entry in listed if arguments.name in (entry.name, Path(entry.folder).name)]
        if not listed:
            reject("NAME", arguments.name, "the name of a stored result (`python -m influence_lib results` lists them)")
    if arguments.json:
        text = json.dumps([vars(entry) for entry in listed], indent=1)
    elif arguments.name is not None:
        text = "\n\n".join(map(_full, listed))
    else:
        text = _table(listed) if listed else f"No results in {repository(arguments.root)} yet."
    sys.stdout.write(text + "\n")


def _full(entry: Entry) -> str:
    """Return everything that is known of a result."""
    settings = json.dumps(entry.settings, indent=2, ensure_ascii=False)
    return f"{entry.folder}: {entry.kind}, {_size(entry)}, {entry.created}\n{settings}"


def _table(listed: list[Entry]) -> str:
    """Return a line for each result, under its folder, no wider than the terminal."""
    width = shutil.get_terminal_size().columns
    lines = []
    for folder, group in groupby(listed, key=lambda entry: Path(entry.folder).parent.as_posix()):
        members = list(group)
        lines.append(f"{folder} ({len(members)})")
        lines += _lines(members)
    lines.append("Named: settings that most of the kind do not share. `results NAME` shows all.")
    return "\n".join(line if len(line) <= width else f"{line[: width - 1]}…" for line in lines)


def _lines(members: list[Entry]) -> Iterator[str]:
    """Yield a line for each result of a kind: name, size, date, and the settings that tell it from the others."""
    names = max(len(entry.name) for entry in members)
    sizes = max(len(_size(entry)) for entry in members)
    settings = [dict(_leaves(entry.settings)) for entry in members]
    shared = Counter(pair for leaves in settings for pair in leaves.items())
    most = len(members) / 2 if len(members) > 1 else 1
    for entry, leaves in zip(members, settings, strict=True):
        own = {key: value for key, value in leaves.items() if shared[key, value] <= most}
        if entry.name.endswith(own.get("encoder", "no name")):
            del own["encoder"]
        rarest = sorted(own.items(), key=shared.__getitem__)
        said = " ".join(f"{key.rpartition('.')[2]}={value}" for key, value in rarest)
        yield f"  {entry.name:<{names}}  {_size(entry):>{sizes}}  {entry.created[:10]}  {said}".rstrip()


def _size(entry: Entry) -> str:
    return f"{entry.bytes / 1000:,.0f} kB"


def _leaves(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the settings as text, without hashes; an encoder or a set of images stands by its name."""
    for key, value in settings.items():
        if isinstance(value, dict) and "name" in value:
            yield prefix + key, value["name"] + (f"[{value['n']}]" if "n" in value else "")
        elif isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        elif isinstance(value, float):
            yield prefix + key, f"{value:.4g}"
        elif not (isinstance(value, str) and HASH.fullmatch(value)):
            yield prefix + key, value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
