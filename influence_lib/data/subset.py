"""Which images a subset holds: balanced over classes, nested, and the same on every machine."""

import hashlib
from collections.abc import Iterable, Sequence
from numbers import Integral

import numpy as np
import numpy.typing as npt
import torch

from influence_lib.errors import InputError, check_integer, reject

__all__ = ["per_class", "resolve_classes", "select", "shuffled"]

Rows = npt.NDArray[np.int64]


def shuffled(ids: Iterable[int], key: str) -> Rows:
    """Return the positions of the ids in an order that looks random.

    Each id is ordered by a hash of the key and itself, so the order of any two ids depends on nothing else:
    not on the other ids, the machine or the version of a library.
    """
    hashes = [hashlib.sha256(f"{key}:{int(i)}".encode()).digest() for i in ids]
    return np.array(sorted(range(len(hashes)), key=hashes.__getitem__), dtype=np.int64)


def resolve_classes(classes: Sequence[str | int] | None, class_names: Sequence[str]) -> list[int]:
    """Return the indices of the classes to keep, in the set's own order.

    Parameters
    ----------
    classes : sequence of str or int, or None
        Names or indices; None keeps all.
    class_names : sequence of str
        All classes of the set.

    Raises
    ------
    InputError
        If a class is unknown or named twice, or the set has no classes.
    """
    if classes is None:
        return list(range(len(class_names)))
    if not class_names:
        raise InputError(f"classes is {classes!r}, but this set has no labels: leave it out.")
    if isinstance(classes, str) or not isinstance(classes, Sequence) or len(classes) == 0:
        reject("classes", classes, "a list of class names or indices, such as ['" + class_names[0] + "']")
    kept = []
    for entry in classes:
        if isinstance(entry, str) and entry in class_names:
            kept.append(class_names.index(entry))
        elif isinstance(entry, Integral) and not isinstance(entry, bool) and 0 <= entry < len(class_names):
            kept.append(int(entry))
        else:
            reject("an entry of classes", entry, ["an index below " + str(len(class_names)), *class_names])
    if len(set(kept)) < len(kept):
        reject("classes", classes, "a list that names each class once")
    return sorted(kept)


def per_class(n: int, classes: int) -> int:
    """Return how many images of each class make ``n`` images; an ``n`` that does not divide is rejected."""
    if n % classes:
        below, above = n - n % classes, n - n % classes + classes
        nearest = f"{below} or {above}" if below else f"{above}"
        allowed = f"a multiple of {classes}, the number of classes, for a balanced subset"
        reject("n", n, f"{allowed}: take {nearest}, or leave it out")
    return n // classes


def select(
    labels: torch.Tensor,
    ids: torch.Tensor,
    class_names: Sequence[str],
    n: int | None,
    classes: Sequence[str | int] | None,
    seed: int,
) -> Rows:
    """Return the rows of a subset, ordered by id.

    ``n / k`` images of each of the ``k`` classes are taken: the first ones in an order that depends on the
    seed, the class and the ids alone. So a smaller ``n`` gives a subset of a larger one, and what is taken of
    one class does not depend on which others are asked for. Without labels, the first ``n`` of all are taken. All
    images are taken, whatever the sizes of the classes, where ``n`` is left out or says how many there are.

    Parameters
    ----------
    labels, ids : torch.Tensor of int64, shape (N,)
        The whole split.
    class_names, n, classes, seed
        As in `influence_lib.data.load`.

    Raises
    ------
    InputError
        If ``n`` is too large or does not divide, a class is unknown, or nothing is left.
    """
    all_labels, all_ids = labels.numpy(), ids.numpy()
    kept = resolve_classes(classes, class_names)
    whole = np.arange(len(all_ids)) if classes is None else np.flatnonzero(np.isin(all_labels, kept))
    if len(whole) == 0:
        raise InputError(f"classes is {classes!r}, but the set holds no image of them here.")
    if n is None or (n := check_integer("n", n)) == len(whole):
        rows = whole
    else:
        groups = {str(c): np.flatnonzero(all_labels == c) for c in kept} if class_names else {"unlabelled": whole}
        rows = _balanced(groups, all_ids, n, seed, len(whole))
    return rows[np.argsort(all_ids[rows], kind="stable")]


def _balanced(groups: dict[str, Rows], ids: Rows, n: int, seed: int, total: int) -> Rows:
    """Return the rows of ``n`` images, as many of each group; too large an ``n`` is rejected."""
    most = min(len(group) for group in groups.values())
    if n > most * len(groups):
        limit = f"at most {most * len(groups)}, " if most else ""
        if len(groups) > 1:
            limit += f"because the smallest of the {len(groups)} classes has {most or 'no'} images here, "
        reject("n", n, f"{limit}or left out for all {total}" if most else f"left out for all {total}, {limit[:-2]}")
    share = per_class(n, len(groups))
    return np.concatenate([group[shuffled(ids[group], f"{seed}:{name}")[:share]] for name, group in groups.items()])
