"""From notebooks to a rendered book: ``python -m influence_lib book``.

`chapters` finds the notebooks and their parameters, `execute` runs them with papermill, `freshness` says
which executed notebooks may be rendered, `ledger` writes the ledger's page, `render` calls Jupyter Book, and
`pages` checks what it made: alt text, and no request that leaves the machine.
"""

from influence_lib.optional import needed

with needed("The book", "run `pip install '.[book]'` in a clone of the repository"):
    from influence_lib.book.commands import add_arguments, build
    from influence_lib.book.layout import Book, BookError

__all__ = ["Book", "BookError", "add_arguments", "build"]
