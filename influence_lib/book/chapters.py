"""The chapters: notebooks in MyST Markdown, with the parameters of a profile."""

import ast
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jupytext
import yaml
from nbformat import NotebookNode
from papermill.inspection import inspect_notebook

from influence_lib.book.layout import Book
from influence_lib.errors import InputError, reject

__all__ = ["SMOKE", "Chapter", "chapters", "profiles"]

SMOKE = "smoke"  # the profile that is always there: the defaults written in the notebooks


@dataclass(frozen=True)
class Chapter:
    """One notebook with the parameters that a profile gives it.

    Attributes
    ----------
    name : str
        ``NN_name``, the file name without its ending.
    profile : str
        The profile that the parameters are from.
    notebook : nbformat.NotebookNode
        The source as a notebook, without outputs.
    defaults : dict
        Parameter → value as the notebook's ``parameters`` cell has it.
    changed : dict
        Parameter → value from the profile's file, given to papermill.
    source_hash : str
        SHA-256 over the notebook, the profile, the parameters, the library's sources and the lock file.
    """

    name: str
    profile: str
    notebook: NotebookNode = field(repr=False)
    defaults: dict[str, Any]
    changed: dict[str, Any]
    source_hash: str

    @property
    def parameters(self) -> dict[str, Any]:
        """Every parameter with the value it is run with."""
        return self.defaults | self.changed

    @property
    def toy(self) -> bool:
        """Whether its images and encoders are those of smoke: also where a profile has no file yet for a study."""
        return self.profile == SMOKE or ("dataset" in self.defaults and not self.changed)


def profiles(book: Book) -> list[str]:
    """Return the names of the profiles: ``smoke`` and one for each folder in ``profiles/``."""
    folders = [folder.name for folder in book.profiles.glob("[!.]*") if folder.is_dir()]
    return sorted({SMOKE, *folders})


def chapters(book: Book, profile: str = SMOKE) -> list[Chapter]:
    """Return the chapters in the order of their numbers.

    Raises
    ------
    InputError
        If there is no notebook, the profile is unknown, or one of its files sets what no notebook declares.
    """
    if profile not in profiles(book):
        reject("--profile", profile, profiles(book))
    sources = sorted(book.notebooks.glob("[0-9][0-9]_*.md"))
    if not sources:
        raise InputError(f"There is no notebook such as 01_tour.md in {book.notebooks}.")
    names = [source.stem for source in sources]
    for file in sorted((book.profiles / profile).glob("*.yml")):
        if file.stem not in names:
            reject(f"the name of {file.relative_to(book.root)}", file.stem, names)
    shared = _hash_files([*sorted(book.library.rglob("*.py")), book.root / "requirements.lock"], book.library)
    return [_chapter(book, source, profile, shared) for source in sources]


def _chapter(book: Book, source: Path, profile: str, shared: str) -> Chapter:
    notebook = jupytext.read(source, fmt="md:myst")
    declared = inspect_notebook(notebook)
    defaults = {name: _literal(info["default"]) for name, info in declared.items()}
    changed = _profile_parameters(book, profile, source.stem, list(defaults))
    made_of = [source.read_text(encoding="utf-8"), profile, json.dumps(changed, sort_keys=True), shared]
    source_hash = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()
    return Chapter(source.stem, profile, notebook, defaults, changed, source_hash)


def _literal(text: str) -> Any:
    """Return the value of a default; an expression that is no literal stays the text that it is."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _profile_parameters(book: Book, profile: str, name: str, declared: list[str]) -> dict[str, Any]:
    """Return the parameters in a profile's file for one notebook; no file means the notebook's defaults."""
    file = book.profiles / profile / f"{name}.yml"
    if not file.is_file():
        return {}
    where = file.relative_to(book.root).as_posix()
    try:
        changed = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{where} is no YAML: {' '.join(str(error).split())}.") from None
    if changed is None:
        return {}
    if not isinstance(changed, dict):
        reject(f"the content of {where}", changed, "a mapping from parameters to values")
    for parameter, value in changed.items():
        if parameter not in declared:
            reject(f"a parameter in {where}", parameter, declared or "left out: the notebook declares none")
        try:
            json.dumps(value)
        except (TypeError, ValueError):  # YAML has dates, sets and references to itself
            reject(
                f"{parameter} in {where}", value, "a number, a text, true, false, null, or a list or mapping of those"
            )
    return changed


def _hash_files(files: list[Path], base: Path) -> str:
    """Return a hash over names and contents; a file that is not there counts as absent."""
    total = hashlib.sha256()
    for file in files:
        if file.is_file():
            label = file.relative_to(base) if file.is_relative_to(base) else file.name
            total.update(f"{label}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\0".encode())
    return total.hexdigest()
