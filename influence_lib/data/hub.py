"""Download of a published set from the Hugging Face hub."""

from pathlib import Path

from influence_lib.data.catalogue import PUBLISHED
from influence_lib.data.loading import data_root
from influence_lib.data.parquet import find_shards
from influence_lib.errors import InputError, reject

__all__ = ["download"]


def _complete(folder: Path, name: str) -> bool:
    """Return whether a folder holds all splits of a set; an incomplete split is an `InputError`."""
    published = PUBLISHED[name]
    return all(find_shards(folder, published, split) for split in published.splits)


def download(name: str, root: str | Path | None = None) -> Path:
    """Download a set into ``<root>/<name>``.

    The files go to a folder beside it first, which is renamed when it is complete: a download that was
    interrupted leaves no half set, and the next one goes on where it stopped.

    Parameters
    ----------
    name : {"cifar10", "cifar100", "fairface"}
    root : path, optional
        See `data_root`.

    Returns
    -------
    pathlib.Path
        The folder of the set; nothing is downloaded if it is already complete.

    Raises
    ------
    InputError
        If the set is unknown, the hub cannot be reached, or something else lies in the folder.
    """
    if name not in PUBLISHED:
        reject("name", name, list(PUBLISHED))
    published, place = PUBLISHED[name], data_root(root)
    target, partial = place / name, place / f"{name}.partial"
    if target.exists():
        if _complete(target, name):
            return target
        raise InputError(f"{target} exists but does not hold all of {name}: move it away and try again.")
    _fetch(published.repository, f"{published.folder}/*.parquet", partial)
    if not _complete(partial, name):
        raise InputError(f"{published.repository} on the hub holds no files of {name} in the layout expected.")
    partial.rename(target)
    return target


def _fetch(repository: str, pattern: str, folder: Path) -> None:
    """Download the files of a dataset repository that match a pattern."""
    # imported here because it is slow to import and only a download needs it
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HTTPError

    try:
        folder.mkdir(parents=True, exist_ok=True)
        snapshot_download(repository, repo_type="dataset", allow_patterns=pattern, local_dir=folder)
    except (OSError, HTTPError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{repository} could not be downloaded from the Hugging Face hub to {folder}: check the network "
            f"and try again, or copy the files there by hand ({reason})."
        ) from error
