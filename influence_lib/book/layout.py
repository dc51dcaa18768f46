"""Where the parts of the book lie."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Book", "BookError"]


class BookError(Exception):
    """The book cannot be built as it stands; the message says which part and what to do."""


@dataclass(frozen=True)
class Book:
    """The folders of one book.

    Attributes
    ----------
    root : Path
        The repository: the notebooks run in it, and ``_config.yml`` and ``_toc.yml`` lie in it.
    library : Path
        The package folder whose sources count when a page is judged stale.

    Examples
    --------
    >>> Book(Path("here")).notebooks.as_posix()
    'here/notebooks'
    """

    root: Path
    library: Path = Path(__file__).resolve().parent.parent

    @property
    def notebooks(self) -> Path:
        """The chapters' sources, ``NN_name.md``."""
        return self.root / "notebooks"

    @property
    def profiles(self) -> Path:
        """One folder of parameter files for each profile."""
        return self.root / "profiles"

    @property
    def executed(self) -> Path:
        """The executed notebooks, their manifests and the generated pages."""
        return self.root / "book" / "_executed"

    @property
    def html(self) -> Path:
        """The rendered pages."""
        return self.root / "_build" / "html"
