"""From notebooks to a rendered book, and from findings to verdicts: ``python -m influence_lib book`` and ``ledger``.

`chapters` finds the notebooks and their parameters, `execute` runs them with papermill, `shown` says on the page what
it was made with, `freshness` which executed notebooks may be rendered, `render` calls Jupyter Book with the extensions
`ids` and `offline`, and `pages` checks what it made. `findings` reads the studies' numbers, `ledger` the papers'
claims, `claims` has the rules of the verdicts, and `cards` and `axis` draw the ledger's page.
"""

from influence_lib.optional import needed

with needed("The book", "run `pip install '.[book]'` in a clone of the repository"):
    from influence_lib.book.commands import build
    from influence_lib.book.layout import Book, BookError

__all__ = ["Book", "BookError", "build"]
