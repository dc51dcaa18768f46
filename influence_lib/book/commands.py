"""What the command ``book`` does: execute what changed, render, check."""

import sys
from argparse import Namespace

from influence_lib.book import cards, ledger
from influence_lib.book.chapters import SMOKE, chapters
from influence_lib.book.execute import execute_all
from influence_lib.book.findings import read_findings
from influence_lib.book.freshness import refuse_unfit, stale
from influence_lib.book.layout import Book, BookError
from influence_lib.book.pages import check_pages
from influence_lib.book.render import render
from influence_lib.errors import reject

__all__ = ["book", "build"]


def build(book: Book, profile: str = SMOKE, only: str | None = None, force: bool = False, workers: int = 1) -> None:
    """Execute the chapters that need it, render the book and check the pages.

    Parameters
    ----------
    book : Book
        Where everything lies.
    profile : str, default "smoke"
        Which parameters; see ``profiles/``.
    only : str, optional
        Execute this chapter, whether or not it is up to date, and no other; the others must be up to date.
    force : bool, default False
        Execute every chapter, up to date or not.
    workers : int
        Chapters that are executed at a time.

    Raises
    ------
    InputError
        If the profile, the chapter, a parameter file or the ledger is wrong.
    BookError
        If a chapter fails, an executed notebook is not fit to be rendered, or the pages are not in order.

    Examples
    --------
    >>> build(Book(Path(".")), profile="cpu", only="01_tour")
    """
    every = chapters(book, profile)
    names = [chapter.name for chapter in every]
    if only is not None and only not in names:
        reject("--only", only, names)
    content = ledger.read(book.root / "book" / "ledger.yml", names)  # before hours of work, not after
    findings = read_findings(book.root)
    generated = {"ledger.md": cards.page(content, findings), "findings.md": cards.headlines(content, findings)}
    wanted = [each for each in every if each.name == only or (only is None and (force or stale(each, book)))]
    execute_all(wanted, book, workers)
    refuse_unfit(every, book)
    for name, text in generated.items():
        (book.executed / name).write_text(text, encoding="utf-8")
    render(every, book)
    check_pages(book.html)
    sys.stdout.write(f"The book is in {book.html / 'index.html'}.\n")


def book(arguments: Namespace) -> int:
    """Build the book; return 1 if it cannot be built."""
    try:
        build(Book(arguments.root), arguments.profile, arguments.only, arguments.force, arguments.workers)
    except BookError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0
