"""Damaged files: each is read as it should be, or refused in one sentence that names it."""

import random
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.campaign.children import Ended, Server
from tests.campaign.trials import Trial, empty_folder, no_sentence
from tests.campaign.victims import ROWS, Victim, change_row

SECONDS = 20.0  # within which every file is read or refused


def mutated(data: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    """Return damaged bytes: one of the ways in which files get damaged, drawn at random."""
    while (damaged := rng.choice(WAYS)(data, rng, others)) == data:
        pass
    return damaged


def _flip(data: bytes, rng: random.Random, _: list[bytes], within: int = 1 << 40) -> bytes:
    changed = bytearray(data)
    for _number in range(rng.choice((1, 1, 4, 16))):
        changed[rng.randrange(min(len(data), within))] ^= rng.randrange(1, 256)
    return bytes(changed)


def _flip_header(data: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    return _flip(data, rng, others, within=64)


def _truncate(data: bytes, rng: random.Random, _: list[bytes]) -> bytes:
    return data[: rng.randrange(len(data))]


def _run(data: bytes, rng: random.Random) -> tuple[int, int]:
    start = rng.randrange(len(data))
    return start, min(len(data), start + rng.randrange(1, max(2, len(data) // 4)))


def _insert(data: bytes, rng: random.Random, _: list[bytes]) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + rng.randbytes(rng.randrange(1, 64)) + data[at:]


def _cut(data: bytes, rng: random.Random, _: list[bytes]) -> bytes:
    start, end = _run(data, rng)
    return data[:start] + data[end:]


def _zero(data: bytes, rng: random.Random, _: list[bytes]) -> bytes:
    start, end = _run(data, rng)
    return data[:start] + bytes(end - start) + data[end:]


def _repeat(data: bytes, rng: random.Random, _: list[bytes]) -> bytes:
    start, end = _run(data, rng)
    return data[:end] + data[start:]


def _other_header(data: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    size = rng.choice((4, 16, 64, 256))
    return rng.choice(others)[:size] + data[size:]


def _something_else(data: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    page = b"<!DOCTYPE html><html><body>Quota exceeded</body></html>"
    return rng.choice((b"", page, b"version https://git-lfs.github.com/spec/v1\n", b"{}", rng.choice(others)))


WAYS = (_flip, _flip, _flip, _flip_header, _truncate, _insert, _cut, _zero, _repeat, _other_header, _something_else)


def mutations(
    group: list[Victim], templates: Path, count: int, seed: int, kept: Path, seconds: float = SECONDS
) -> Iterator[Trial]:
    """Yield a trial for each of `count` damaged files; what fails is copied to a folder.

    Parameters
    ----------
    group : list of Victim
        What is damaged, in turns.
    templates : Path
        Where everything lies undamaged, as `victims.lay` writes it.
    count, seed : int
        How many; trial i is the same file for the same seed.
    kept : Path
        Where the folder of a failed trial is copied to, with the failure beside it.
    seconds : float
        How long a file may take.
    """
    others = [file.read_bytes() for file in sorted((templates / "images").iterdir())]
    with Server() as server:
        for number in range(count):
            victim = group[number % len(group)]
            label = f"{victim.what} {seed}-{number}".replace(" ", "-")
            with empty_folder() as folder:
                file = _damage(victim, templates, folder, random.Random(label), others)
                name = str(folder / victim.named) if victim.named else file.name
                failure = _judge(server.ask(victim.read, folder, seconds=seconds), name)
                if failure:
                    shutil.copytree(folder, kept / label, dirs_exist_ok=True)
                    (kept / f"{label}.txt").write_text(f"{file.relative_to(folder)}\n{failure}\n")
            yield Trial("damaged file", victim.what, failure, label=label)


def _damage(victim: Victim, templates: Path, folder: Path, rng: random.Random, others: list[bytes]) -> Path:
    """Lay out a victim in a folder, damage one of its files and return which."""
    for path in (templates / source for source in victim.sources):
        if path.is_dir():
            shutil.copytree(path, folder, dirs_exist_ok=True)
        else:
            shutil.copy(path, folder)
    file = rng.choice(sorted(folder.glob(victim.files)))
    damage = partial(mutated, rng=rng, others=others)
    if victim.row:
        change_row(file, rng.randrange(len(ROWS)), damage)
    else:
        file.write_bytes(damage(file.read_bytes()))
    return file


def _judge(ended: Ended, name: str) -> str | None:
    """Return why a damaged file was neither read nor refused well, or None."""
    if ended.how == "done":
        return ended.what
    return no_sentence(ended.what, name) if ended.how == "refused" else f"{ended.how}: {ended.what}"
