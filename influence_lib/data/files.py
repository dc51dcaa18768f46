"""`find_files`: all files below a folder, through links, each real place once."""

import os
from collections import deque
from dataclasses import dataclass
from pathlib import Path

__all__ = ["File", "Files", "find_files", "printable"]


@dataclass(frozen=True)
class File:
    """A file below a folder.

    Attributes
    ----------
    name : str
        Path relative to the folder, with slashes.
    place : str
        Where it really lies, all links resolved.
    """

    name: str
    place: str


@dataclass(frozen=True)
class Files:
    """What lies below a folder.

    Attributes
    ----------
    root : Path
    found : list of File
        Regular files, also through links; a linked folder's files appear at every link to it.
    hidden : list of str
        What begins with a dot, and what is no regular file; hidden folders are not entered.
    broken : dict of str to str
        Links to nothing and folders that cannot be listed → a phrase that says so.
    """

    root: Path
    found: list[File]
    hidden: list[str]
    broken: dict[str, str]


def printable(name: str) -> str:
    """Return a file name that can be written as UTF-8; bytes that are no UTF-8 become escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def find_files(root: Path) -> Files:
    """Return all files below a folder.

    Links are followed, and every real folder is entered once, so that links in a circle end. What a second link to a
    folder shows is listed after everything else; a link to the root, or to a folder that holds it, is not followed.
    """
    files = Files(root, [], [], {})
    real_root = os.path.realpath(root)
    folders, links = deque([""]), deque[str]()  # names that end with a slash; links wait until all else was seen
    entered: dict[str, str] = {}
    copies: list[tuple[str, str]] = []
    while folders or links:
        name = folders.pop() if folders else links.popleft()
        place = os.path.realpath(root / name)
        if place in entered:
            copies.append((name, entered[place]))
        elif name and Path(real_root).is_relative_to(place):
            files.hidden.append(name)
        else:
            entered[place] = name
            _list(files, name, place, folders, links)
    first = list(files.found)
    for name, original in copies:
        if name.startswith(original):  # a circle
            files.hidden.append(name)
        else:
            inside = [file for file in first if file.name.startswith(original)]
            files.found.extend(File(name + file.name.removeprefix(original), file.place) for file in inside)
    return files


def _list(files: Files, name: str, place: str, folders: deque[str], links: deque[str]) -> None:
    """Add the files of one folder, and its folders to those that are still to be entered."""
    try:
        entries = sorted(os.scandir(place), key=lambda entry: entry.name)
    except OSError as error:
        files.broken[name] = f"{printable(str(files.root / name))} cannot be listed ({error.strerror})"
        return
    for entry in entries:
        inside = name + entry.name
        if entry.name.startswith("."):
            files.hidden.append(inside)
        elif os.path.isdir(entry.path):  # noqa: PTH112 - unlike DirEntry's, it takes a link to itself for none
            (links if entry.is_symlink() else folders).append(f"{inside}/")
        elif os.path.isfile(entry.path):  # noqa: PTH113
            real = os.path.realpath(entry.path) if entry.is_symlink() else entry.path
            files.found.append(File(inside, real))
        elif entry.is_symlink():
            files.broken[inside] = f"{printable(str(files.root / inside))} is a link to nothing"
        else:
            files.hidden.append(inside)
