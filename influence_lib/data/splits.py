"""The names by which people call the splits of a set, in folders and files."""

import re
from collections.abc import Iterable

from influence_lib.errors import reject

__all__ = ["choose_split", "read_split"]

WORDS = {
    "train": ("train", "training", "trn"),
    "val": ("val", "valid", "validation", "dev", "development"),
    "test": ("test", "testing", "tst", "eval", "evaluation"),
}
"""Our name of a split → what it is called."""

SPLIT_OF = {word: split for split, words in WORDS.items() for word in words}

FILLERS = {"", "set", "data", "dataset", "split", "folder", "image", "images", "img", "imgs", "partial"}
"""What may stand beside such a word and says nothing, as in ``training_set`` or ``val_images``."""


def read_split(name: str) -> tuple[str, str] | None:
    """Return the split that a name tells and what else the name says, or None if it tells none.

    Examples
    --------
    >>> read_split("Validation_Set"), read_split("train2017"), read_split("seg_test"), read_split("bus")
    (('val', ''), ('train', ''), ('test', 'seg'), None)
    """
    parts = re.split(r"[\W\d_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())
    found = {SPLIT_OF[part] for part in parts if part in SPLIT_OF}
    if len(found) != 1:
        return None
    return found.pop(), " ".join(part for part in parts if part not in SPLIT_OF and part not in FILLERS)


def choose_split(split: str | None, there: Iterable[str]) -> str:
    """Return which of the splits that are there is asked for.

    Parameters
    ----------
    split : str or None
        A name that is there, or another word for one of them; None for train, or the first where there is no train.
    there : iterable of str
        train, val and test, or the names of folders where two of them mean the same split.

    Raises
    ------
    InputError
        If it is none of them.
    """
    names = sorted(there)
    if split is None:
        return "train" if "train" in names else names[0]
    if split in names:
        return split
    meant = read_split(split) if isinstance(split, str) else None
    if meant is None or meant[0] not in names:
        reject("split", split, names)
    return meant[0]
