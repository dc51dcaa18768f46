"""Render the executed notebooks with Jupyter Book, for reading without a network."""

import shutil
import subprocess
import sys
from importlib.metadata import files
from pathlib import Path

import yaml

from influence_lib.book.chapters import Chapter
from influence_lib.book.layout import Book, BookError

__all__ = ["render"]

JUPYTER_BOOK = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
# every extension is bundled in the full build, so that none is asked for when a page loads
MATHJAX = "tex-svg-full.js"


def render(chapters: list[Chapter], book: Book) -> None:
    """Build the HTML pages; a warning of Sphinx is an error.

    Raises
    ------
    BookError
        If a chapter is not in ``_toc.yml``, or the build fails.
    """
    _check_toc(chapters, book)
    _provide_mathjax(book.root / "_build" / "static" / "mathjax")
    command = [*JUPYTER_BOOK, "build", "-n", "-W", "--keep-going", str(book.root)]
    status = subprocess.run(command, check=False).returncode
    if status:
        raise BookError(f"jupyter-book failed with status {status}: see its warnings above.")


def _check_toc(chapters: list[Chapter], book: Book) -> None:
    """Raise if a chapter would silently be left out of the book."""
    toc = yaml.safe_load((book.root / "_toc.yml").read_text(encoding="utf-8"))
    listed = set(_toc_files(toc))
    for chapter in chapters:
        page = (book.executed / chapter.name).relative_to(book.root).as_posix()
        if page not in listed:
            raise BookError(f"notebooks/{chapter.name}.md is not in the book: add `file: {page}` to _toc.yml.")


def _toc_files(node: object) -> list[str]:
    """Return every ``file`` in a table of contents, at any depth."""
    if isinstance(node, list):
        return [file for item in node for file in _toc_files(item)]
    if isinstance(node, dict):
        own = [str(node[key]) for key in ("root", "file") if key in node]
        return own + [file for value in node.values() for file in _toc_files(value)]
    return []


def _provide_mathjax(folder: Path) -> None:
    """Copy MathJax out of its PyPI package, which as a Sphinx extension would copy all of its builds."""
    bundled = next(file for file in files("sphinx-mathjax-offline") or [] if file.name == MATHJAX)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(str(bundled.locate()), folder / MATHJAX)
