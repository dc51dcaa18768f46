"""`arrange`: which folders of a set of images are splits and which are classes, from the paths of the images alone."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from influence_lib.data.splits import read_split

__all__ = ["Arrangement", "arrange"]

WRAPPERS = {"images", "image", "imgs", "img", "jpegimages", "photos", "pictures"}
"""A folder of such a name that is alone, or has only companions beside it, is no class."""

COMPANIONS = {"annotations", "labels", "masks", "ground_truth", "segmentations", "depth"}
"""What may lie beside splits, or beside a wrapper, itself as images, without being a class."""


@dataclass(frozen=True)
class Arrangement:
    """How images lie in folders.

    Attributes
    ----------
    base : str
        The folder below which splits or classes begin; empty or with a slash at its end.
    splits : dict of str to dict of str to str
        Split → path below the folder of the split, which begins with the class where there is one → whole path.
    by_folder : bool
        Whether splits are folders; otherwise there is one, ``"train"``.
    """

    base: str
    splits: dict[str, dict[str, str]]
    by_folder: bool

    def concerns(self, split: str, path: str) -> bool:
        """Return whether a path that is no image lies where the images of a split do."""
        own = {_head(name.removeprefix(self.base)) for name in self.splits[split].values()}
        return path.startswith(self.base) and (not self.by_folder or _head(path.removeprefix(self.base)) in own)


def arrange(paths: Collection[str]) -> Arrangement:
    """Recognise the layout of a set of images.

    Splits are folders called train, val or test, or as `read_split` knows them, at the top or inside every class. The
    classes are the folders of the first level of what remains. Folders that hold everything are passed through, as is
    a folder ``images``.

    Parameters
    ----------
    paths : collection of str
        Relative paths of images, with slashes; at least one.

    Examples
    --------
    >>> arrange(["Train/cat/a.png", "Train/dog/b.png", "valid/cat/c.png"]).splits
    {'train': {'cat/a.png': 'Train/cat/a.png', 'dog/b.png': 'Train/dog/b.png'}, 'val': {'cat/c.png': 'valid/cat/c.png'}}
    >>> arrange(["images/a.png", "images/b.png", "labels/a.png"]).splits
    {'train': {'a.png': 'images/a.png', 'b.png': 'images/b.png'}}
    """
    base = _wrapper(paths)
    inside = {path.removeprefix(base): path for path in paths if path.startswith(base)}
    places = _split_folders(inside)
    if places:
        splits: dict[str, dict[str, str]] = {split: {} for split, _ in places.values()}
        for below, path in inside.items():
            head, _, rest = below.partition("/")
            if rest and head in places:
                split, class_name = places[head]
                splits[split][class_name + rest] = path
        splits = {split: _without(_wrapper(part, named=True), part) for split, part in splits.items()}
    elif _splits_are_inside_classes(inside):
        splits = {}
        for below, path in inside.items():
            class_name, split, rest = below.split("/", 2)
            splits.setdefault(_split(split), {})[f"{class_name}/{rest}"] = path
    else:
        return Arrangement(base, {"train": inside}, by_folder=False)
    shared = _wrapper([below for part in splits.values() for below in part])
    return Arrangement(base, {split: _without(shared, part) for split, part in splits.items()}, by_folder=bool(places))


def _head(path: str) -> str:
    """Return the first folder of a path, or the path where it has none."""
    return path.partition("/")[0]


def _without(wrapper: str, part: Mapping[str, str]) -> dict[str, str]:
    """Return the images below a wrapper, by their paths below it."""
    return {below.removeprefix(wrapper): path for below, path in part.items() if below.startswith(wrapper)}


def _wrapper(paths: Iterable[str], named: bool = False) -> str:
    """Return the folders that hold everything and are neither split nor class; those called `WRAPPERS` if `named`."""
    base, inside = "", list(paths)
    while True:
        heads = {_head(path) for path in inside if "/" in path}
        if not heads or any("/" not in path for path in inside):
            return base
        wrappers = [head for head in heads if head.lower() in WRAPPERS]
        if len(wrappers) == 1 and all(head.lower() in COMPANIONS for head in heads.difference(wrappers)):
            head = wrappers[0]
        else:
            head = min(heads)
            if named or len(heads) > 1 or read_split(head) or any(path.count("/") == 1 for path in inside):
                return base
        base += f"{head}/"
        inside = [path.removeprefix(f"{head}/") for path in inside if path.startswith(f"{head}/")]


def _split_folders(paths: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return folder → its split and the class that its name tells, with a slash, or an empty text.

    A folder called train alone may be a class as well: it is a split if nothing lies beside it, and two of different
    splits are splits whatever lies beside them.
    """
    heads = {_head(path) for path in paths if "/" in path}
    read = {head: found for head in heads if (found := read_split(head))}
    rests = {rest for _, rest in read.values()}
    if len(rests) > 1 and "" not in rests:
        # as in trainA, trainB, testA, testB
        pairs = {(split, rest) for split, rest in read.values()}
        splits = {split for split, _ in pairs}
        if len(splits) < 2 or len(read) < len(heads) or len(pairs) != len(splits) * len(rests) != len(heads):
            return {}
        return {head: (split, f"{rest}/") for head, (split, rest) in read.items()}
    chosen = {head: split for head, (split, rest) in read.items() if rest == min(rests)}
    counts = Counter(chosen.values())
    beside = [head for head in heads - chosen.keys() if head.lower() not in COMPANIONS]
    if len(counts) < 2 and (beside or rests != {""}):
        return {}
    # where two folders mean the same split, such as test and eval, their names tell them apart
    return {head: (split if counts[split] == 1 else head, "") for head, split in chosen.items()}


def _splits_are_inside_classes(paths: Collection[str]) -> bool:
    """Return whether every class holds its own folders train and test, and nothing else."""
    if not all(path.count("/") >= 2 for path in paths):
        return False
    read = [read_split(name) for name in {path.split("/")[1] for path in paths}]
    return all(found and not found[1] for found in read) and len({found[0] for found in read if found}) > 1


def _split(name: str) -> str:
    found = read_split(name)
    assert found
    return found[0]
