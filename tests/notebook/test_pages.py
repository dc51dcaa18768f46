"""What chapters put on their pages."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from PIL import Image

from influence_lib import store
from influence_lib.data import Collection
from influence_lib.errors import InputError
from influence_lib.estimate import Estimate
from influence_lib.influence import Scores
from influence_lib.notebook import files_shown, span, write_scores


def test_shown_files_are_named_and_scores_are_written(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(store, "repository", lambda: tmp_path)
    photos = tmp_path / "photos"
    for shade, name in enumerate(("cat/a.png", "cat/b.jpg", "dog/c.bmp")):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9 + shade, 12), (60 * shade,) * 3).save(photos / name)
    images = Collection("folder", str(photos)).images()
    shown = files_shown(images, {"first": torch.tensor([2, 0]), "second": torch.tensor([1])})
    assert shown.to_dict("list") == {"first": ["dog/c.bmp", "cat/a.png"], "second": ["cat/b.jpg", ""]}
    by_draw = torch.tensor([[1.0, 5.0, 3.0], [1.0, 7.0, 3.0]])
    scores = {name: Scores(by_draw * sign, images.ids, {}) for name, sign in (("EK-FAC", 1), ("raw loss", -1))}
    table = pd.read_csv(write_scores(images, scores))
    assert table["path"].tolist() == [str(photos / name) for name in ("cat/b.jpg", "dog/c.bmp", "cat/a.png")]
    assert table["class"].tolist() == ["cat", "dog", "cat"]
    assert table["EK-FAC"].tolist() == [6, 3, 1]
    assert table["raw loss"].tolist() == [-6, -3, -1]


def test_a_span_has_the_least_and_the_greatest() -> None:
    assert span([0.9, 0.55, 0.7]) == "0.55 to 0.90"
    assert span((Estimate.stated(value) for value in (0.25, -0.5)), ".0%") == "-50% to 25%"
    assert span([0.5]) == "0.50"
    with pytest.raises(InputError, match="the number of values is 0"):
        span([])
