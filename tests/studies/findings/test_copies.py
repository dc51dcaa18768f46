import zlib

import numpy as np
import pandas as pd
import pytest
import torch

from influence_lib.estimate import share
from influence_lib.influence import Scores
from influence_lib.studies.findings.copies import SCORED, duplicates

IDS = list(range(10, 1010, 5))  # 200 images of the class, among 1,000
PAIRS = pd.DataFrame({"a": IDS[:20:2], "b": IDS[1:20:2], "correlation": [0.99] * 9 + [0.9]})


class Known:
    """Stands for committed results: copies are lowest by the score of some methods, and by no loss."""

    def __init__(self, methods):
        self.methods = methods

    def pairs(self, name, n):
        return {"cifar10": {5000: (IDS, PAIRS), 50_000: (IDS * 2, PAIRS)}}.get(name, {}).get(n)

    def has_scores(self, encoder, kind, **changed):
        assert changed == SCORED
        return encoder.split("-")[0] in self.methods

    def scores(self, encoder, kind, **changed):
        ids = torch.arange(1015).flip(0)  # in another order than the class's
        rng = np.random.default_rng(zlib.crc32(f"{encoder} {kind}".encode()))
        values = rng.normal(10, 1, size=len(ids))
        if kind == "ekfac":
            values[torch.isin(ids, torch.tensor(IDS[:18])).numpy()] -= 8
        return Scores(torch.tensor(values, dtype=torch.float32)[None], ids, {})

    def gate(self, *encoders):
        return True


def test_copies_that_are_lowest_are_found_beyond_what_is_easy():
    found = duplicates(Known(["simclr"]))
    assert (found["have_a_copy"].values[""].value, found["looked_through"].values[""].value) == (18, 200)
    assert set(found) == {
        "alike",
        "have_a_copy",
        "looked_through",
        "two_largest",
        "more_than_all.ekfac.simclr",
        "more_than_all.raw_loss.simclr",
        "beyond_easy.simclr",
        "auroc.simclr",
        "everywhere.have_a_copy",
        "everywhere.looked_through",
    }
    more = found["more_than_all.ekfac.simclr"]
    assert (more.trainings, more.gate) == (3, True)
    assert more.values["lowest 5"].value == pytest.approx(1 - 18 / 200)  # the pair below the limit does not count
    assert more.values["lowest 5"].unit == "training"
    # all trainings have five copies of five, which five images alone leave open down to .57
    assert more.values["lowest 5"].low == pytest.approx(share(np.ones(5, dtype=bool)).low - 18 / 200)
    assert found["beyond_easy.simclr"].values[""].value > 0.95
    auroc = found["auroc.simclr"].values
    assert auroc["ekfac"].value == 1
    assert 0.3 < auroc["raw_loss"].value < 0.7


def test_an_order_of_methods_waits_for_all_of_them():
    found = duplicates(Known(["simclr", "byol", "barlow"]))
    assert {name: value.value for name, value in found["lowest_18"].values.items()} == pytest.approx(
        {"simclr": 18, "byol": 18, "barlow": 18}
    )
    assert set(found["lowest_5"].values) == {"simclr", "byol", "barlow"}
    without = {"alike", "have_a_copy", "looked_through", "two_largest"}
    assert set(duplicates(Known([]))) == without | {"everywhere.have_a_copy", "everywhere.looked_through"}


def test_a_method_counts_after_the_most_epochs_at_which_all_its_trainings_have_scored():
    class Shorter(Known):
        def has_scores(self, encoder, kind, **changed):
            at_the_end = "-epoch" not in encoder
            return super().has_scores(encoder, kind, **changed) and not (encoder.startswith("byol") and at_the_end)

        def scores(self, encoder, kind, **changed):
            self.seen = [*getattr(self, "seen", []), encoder]
            return super().scores(encoder, kind, **changed)

    results = Shorter(["byol", "simclr"])
    assert "more_than_all.ekfac.byol" in duplicates(results)
    assert {each for each in results.seen if each.startswith("byol")} == {
        f"byol-cifar10-50k{seed}-epoch10" for seed in ("", "-seed1", "-seed2")
    }
    assert "simclr-cifar10-50k-seed2" in results.seen
