"""Which images a subset holds: balanced over classes, nested, and the same on every machine."""

import hashlib
import operator
from collections.abc import Iterable, Sequence
from numbers import Integral

import numpy as np
import numpy.typing as npt
import torch

from influence_lib.errors import InputError, reject

__all__ = ["check_count", "check_seed", "per_class", "resolve_classes", "select", "shuffled"]

Rows = npt.NDArray[np.int64]


def check_count(name: str, value: object) -> int:
    """Return a whole number above 0, or raise an `InputError` that names the parameter."""
    try:
        count = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        reject(name, value, "a whole number above 0")
    if isinstance(value, bool) or count <= 0:
        reject(name, value, "a whole number above 0")
    return count


def check_seed(seed: object) -> int:
    """Return a seed: a whole number from 0 on."""
    try:
        number = operator.index(seed)  # type: ignore[arg-type]
    except TypeError:
        reject("seed", seed, "a whole number, 0 or more")
    if number < 0:
        reject("seed", seed, "a whole number, 0 or more")
    return number


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
        reject("n", n, f"a multiple of {classes}, the number of classes, for a balanced subset: take {nearest}")
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
    one class does not depend on which others are asked for. Without labels, the first ``n`` of all are taken.

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
    if not class_names:
        groups = {"unlabelled": np.arange(len(all_ids))}
    else:
        groups = {str(c): np.flatnonzero(all_labels == c) for c in kept}
    if n is None:
        rows = np.concatenate(list(groups.values())) if classes is not None else np.arange(len(all_ids))
    else:
        share = per_class(check_count("n", n), len(groups))
        most = min(len(group) for group in groups.values())
        if share > most:
            limit = f"at most {most * len(groups)}"
            if class_names:
                limit += f", because the smallest of the {len(groups)} classes has {most} images here"
            reject("n", n, limit)
        rows = np.concatenate(
            [group[shuffled(all_ids[group], f"{seed}:{name}")[:share]] for name, group in groups.items()]
        )
    if len(rows) == 0:
        raise InputError(f"classes is {classes!r}, but the set holds no image of them here.")
    return rows[np.argsort(all_ids[rows], kind="stable")]
