"""Files and folders that are never there in part."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

__all__ = ["written_whole"]


@contextlib.contextmanager
def written_whole(target: Path, partial: Path | None = None) -> Iterator[Path]:
    """Give a temporary path to write to, and rename it when the block has come to its end.

    Where the block fails, what it wrote is removed, and what was at `target` before stays as it was.

    Parameters
    ----------
    target : path
        A file, or a folder that is not there yet; its own folder is made where it is missing.
    partial : path, optional
        The temporary path, in the same folder; by default a hidden one of this process. What a killed run left there
        is removed first.

    Examples
    --------
    >>> with written_whole(Path("page.html")) as partial:
    ...     partial.write_text("…")
    """
    partial = partial or target.with_name(f".{target.name}.{os.getpid()}.partial")
    _remove(partial)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield partial
        partial.replace(target)
    finally:
        _remove(partial)


def _remove(path: Path) -> None:
    """Remove a file or a folder, as far as that is possible."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
