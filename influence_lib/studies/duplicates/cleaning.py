"""Duplicates as cleanvision finds them, a tool that people use for it."""

import tempfile
from itertools import combinations
from pathlib import Path

import pandas as pd
from torchvision.io import write_png

from influence_lib.data import ImageSet
from influence_lib.optional import needed
from influence_lib.pretrain.evaluate import check_images

__all__ = ["cleanvision_pairs"]

ISSUES = ("exact_duplicates", "near_duplicates")


def cleanvision_pairs(images: ImageSet) -> pd.DataFrame:
    """Return the pairs of images that cleanvision calls exact or near duplicates, with its defaults.

    It reads image files, so the images are written into a temporary folder first. Of a set of duplicates every pair
    counts.

    Parameters
    ----------
    images : ImageSet
        N images, 2 or more.

    Returns
    -------
    DataFrame
        A row for each pair: ``"a"`` and ``"b"``, the ids, the smaller first.

    Raises
    ------
    InputError
        If there are fewer than two images, or cleanvision is not installed.

    Examples
    --------
    >>> cleanvision_pairs(data.plant(images, exact=0.1)).shape
    (6, 2)
    """
    check_images("images", images, least=2)
    with needed("A search with cleanvision", "run `pip install cleanvision`"):
        from cleanvision import Imagelab
    with tempfile.TemporaryDirectory() as folder:
        for image, pixels in zip(images.ids.tolist(), images.images, strict=True):
            write_png(pixels, f"{folder}/{image}.png")
        found = Imagelab(data_path=folder, verbose=False)
        found.find_issues({issue: {} for issue in ISSUES}, n_jobs=1, verbose=False)
    groups = [[int(Path(name).stem) for name in group] for issue in ISSUES for group in found.info[issue]["sets"]]
    pairs = {(min(pair), max(pair)) for group in groups for pair in combinations(group, 2)}
    return pd.DataFrame(sorted(pairs), columns=["a", "b"], dtype="int64")
