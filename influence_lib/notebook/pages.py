"""What chapters put on their pages: files of a folder, scores as a CSV, numbers as text."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd
from torch import Tensor

from influence_lib import store
from influence_lib.atomic import written_whole
from influence_lib.data import ImageSet
from influence_lib.errors import reject
from influence_lib.estimate import Estimate
from influence_lib.influence import Scores

__all__ = ["files_shown", "span", "write_scores"]


def files_shown(images: ImageSet, rows: Mapping[str, Tensor]) -> pd.DataFrame:
    """Return the files of images of a folder, one column for each row of a figure, in the order of the figure.

    Parameters
    ----------
    images : ImageSet
        Of a folder.
    rows : mapping of str to Tensor
        What `figures.image_rows` takes: title → positions in `images`.

    Examples
    --------
    >>> mine = data.load("folder", root=folder)
    >>> files_shown(mine, {"highest": torch.tensor([1, 0])})
    """
    files = images.attributes["file"].to_numpy()
    return pd.DataFrame({title: pd.Series(files[positions.numpy()]) for title, positions in rows.items()}).fillna("")


def write_scores(images: ImageSet, scores: Mapping[str, Scores]) -> Path:
    """Write the paths of images of a folder with their scores as a CSV under ``artifacts/``, and return its path.

    Parameters
    ----------
    images : ImageSet
        Of a folder.
    scores : mapping of str to Scores
        Name → scores of these images, averaged over the draws. The rows are sorted by the first, the highest on top.

    Examples
    --------
    >>> mine = data.load("folder", root=folder)
    >>> write_scores(mine, {"embedding norm": influence.embedding_norm(encoder, mine)})
    """
    classes = [images.class_names[label] if label >= 0 else "" for label in images.labels.tolist()]
    values = {name: score.values.tolist() for name, score in scores.items()}
    table = pd.DataFrame({"path": images.attributes["path"], "class": classes, **values})
    file = store.repository() / "artifacts" / f"scores-{images.fingerprint}.csv"
    with written_whole(file) as partial:
        table.sort_values(next(iter(scores)), ascending=False, kind="stable").to_csv(partial, index=False)
    return file


def span(values: Iterable[float | Estimate], spec: str = ".2f") -> str:
    """Return the least and the greatest of some numbers as text.

    Parameters
    ----------
    values : iterable of float or Estimate
        One or more.
    spec : str
        Format of a number.

    Raises
    ------
    InputError
        If there are none.

    Examples
    --------
    >>> span([0.9, 0.55, 0.7])
    '0.55 to 0.90'
    """
    numbers = [each.value if isinstance(each, Estimate) else each for each in values]
    if not numbers:
        reject("the number of values", 0, "1 or more")
    low, high = min(numbers), max(numbers)
    return f"{low:{spec}} to {high:{spec}}" if len(numbers) > 1 else f"{low:{spec}}"
