import numpy as np
import pytest
import torch

from influence_lib.errors import InputError
from influence_lib.studies.bend import (
    FACTORS,
    GradientParts,
    bending_factors,
    curves,
    factors_of_score,
    layer_shares,
)
from tests.studies.scores import scores_of

N = 300
LOSS = torch.linspace(0.05, 0.9, N, dtype=torch.float64)


def parts_of(gain=1.0, gain_hat=None, cosine=-0.5, length=1.0, loss=LOSS, layers=None):
    """Return parts with these gains of the two Jacobians and this cosine, in one draw."""
    one = torch.ones_like(loss)
    through_x = gain * loss * (2 - loss) / length**2 * one
    through_x_hat = (gain if gain_hat is None else gain_hat) * loss * (2 - loss) / length**2 * one
    product = cosine * (through_x * through_x_hat).sqrt()
    norm = through_x + through_x_hat + 2 * product
    by_layer = {name: part * norm for name, part in (layers or {"a": 1.0}).items()}
    rows = (each[None] for each in (loss, length * one, length * one, through_x, through_x_hat, product))
    return GradientParts(torch.arange(len(loss)), *rows, by_layer=by_layer)


def score_of(parts, curvature=1.0):
    return scores_of((parts.squared_norm[0] * curvature).numpy())


def test_the_factors_multiply_to_the_score_and_each_is_what_it_says():
    parts = parts_of(gain=3.0, length=2.0)
    score = score_of(parts, curvature=7.0)
    factors = factors_of_score(parts, score)
    assert tuple(factors) == FACTORS
    product = torch.stack([factor.values for factor in factors.values()]).prod(dim=0)
    torch.testing.assert_close(product, score.values.double(), rtol=1e-5, atol=0)
    constants = {"1/‖z‖² + 1/‖ẑ‖²": 0.5, "gain of the Jacobians": 3, "left after cancelling": 0.5, "curvature": 7}
    for name, value in constants.items():
        torch.testing.assert_close(
            factors[name].values, torch.full((N,), value, dtype=torch.float64), rtol=1e-5, atol=0
        )


def test_the_draws_are_averaged_before_they_are_divided():
    one = parts_of()
    two = GradientParts(
        one.ids,
        *(torch.cat([v, v * w]) for v, w in zip(list(vars(one).values())[1:7], (1, 1, 1, 3, 3, 3), strict=True)),
        by_layer=one.by_layer,
    )
    score = scores_of(two.squared_norm[0].numpy(), two.squared_norm[1].numpy())
    factors = factors_of_score(two, score)
    torch.testing.assert_close(
        factors["gain of the Jacobians"].values, torch.full((N,), 2.0).double(), rtol=1e-5, atol=0
    )


@pytest.mark.parametrize(
    ("changed", "factor"),
    [
        ({"gain": (LOSS / 0.4).clamp(min=1) ** -2}, "gain of the Jacobians"),
        ({"length": (LOSS / 0.4).clamp(min=1)}, "1/‖z‖² + 1/‖ẑ‖²"),
        ({"cosine": 0.5 * (LOSS / 0.4).clamp(min=1) ** -2 - 1}, "left after cancelling"),
        ({"curvature": (LOSS / 0.4).clamp(min=1) ** -2}, "curvature"),
    ],
)
def test_the_factor_that_bends_the_score_is_named(changed, factor):
    curvature = changed.pop("curvature", 1.0)
    parts = parts_of(**changed)
    found = bending_factors(parts, score_of(parts, curvature), at=0.4)
    assert found.falls_most == factor
    assert found.table.loc[factor, "slope above"].value == pytest.approx(-2, abs=0.01)
    assert found.table.loc[factor, "slope below"].value == pytest.approx(0, abs=0.01)
    assert found.table.loc[factor, "change"].below(-1.9)
    assert found.table.loc[factor, "correlation above"].value == pytest.approx(-1)


def test_the_slopes_of_the_factors_add_up_to_that_of_the_score():
    rng = torch.Generator().manual_seed(0)
    noise = [torch.rand(N, generator=rng, dtype=torch.float64) + 0.5 for _ in range(4)]
    parts = parts_of(gain=noise[0], gain_hat=noise[1], length=noise[2])
    table = bending_factors(parts, score_of(parts, noise[3]), at=0.3).table
    for column in ("slope below", "slope above", "change"):
        total = sum(table.loc[name, column].value for name in FACTORS)
        assert total == pytest.approx(table.loc["score", column].value, abs=1e-4)
    for name in table.index:
        row = table.loc[name]
        assert row["change"].value == pytest.approx(row["slope above"].value - row["slope below"].value, abs=1e-6)
        assert row["change"].low < row["change"].value < row["change"].high


def test_equal_jacobians_leave_the_loss_after_cancelling():
    parts = parts_of(cosine=LOSS - 1)
    found = bending_factors(parts, score_of(parts), at=0.5)
    torch.testing.assert_close(factors_of_score(parts, score_of(parts))["left after cancelling"].values, LOSS)
    assert found.table.loc["left after cancelling", "slope above"].value == pytest.approx(1, abs=1e-3)
    assert found.falls_most == "L(2 − L)"
    changes = found.table["change"]
    assert changes[found.falls_most].value == pytest.approx(changes["score"].value, rel=0.01)


def test_layers_have_shares_that_add_up():
    table = layer_shares(parts_of(layers={"a": LOSS, "b": 1 - LOSS}), at=0.5)
    assert table[["below", "above"]].sum().to_list() == pytest.approx([1, 1])
    assert table.loc["a", "below"] == pytest.approx(float(LOSS[LOSS < 0.5].mean()))
    assert (table.loc["a", "with the loss"].value, table.loc["b", "with the loss"].value) == pytest.approx((1, -1))


def test_too_few_images_on_one_side_are_refused():
    parts = parts_of()
    for study in (lambda at: bending_factors(parts, score_of(parts), at), lambda at: layer_shares(parts, at)):
        with pytest.raises(InputError, match=r"at is 0\.055, but 4 images or more must lie below it, and 2 do"):
            study(0.055)
        with pytest.raises(InputError, match="must lie above it, and 0 do"):
            study(1)
        with pytest.raises(InputError, match="at is nan, but it must be a number"):
            study(float("nan"))


def test_what_does_not_belong_together_is_refused():
    parts = parts_of()
    with pytest.raises(InputError, match="the score has 2 draws and the gradient 1"):
        factors_of_score(parts, scores_of(np.ones(N), np.ones(N)))
    with pytest.raises(InputError, match="different images"):
        factors_of_score(parts, scores_of(np.ones(N), ids=torch.arange(N) + 1))
    with pytest.raises(InputError, match="'curvature' has the value 0"):
        factors_of_score(parts, scores_of(np.zeros(N)))
    with pytest.raises(InputError, match="gradient of an image is 0"):
        layer_shares(parts_of(gain=LOSS.where(LOSS > 0.06, 0)), at=0.5)


def test_the_curves_are_those_of_the_score_the_law_and_the_factors():
    parts = parts_of(gain=3.0, cosine=LOSS - 1)
    whole, factors = curves(parts, score_of(parts)).values()
    law = [each.value for each in whole["L²(2 − L): equal Jacobians"]["score"]]
    assert [each.value for each in whole["‖g‖²"]["score"]] == pytest.approx([6 * value for value in law], rel=1e-5)
    assert whole["score"].loc[10, "loss"] == pytest.approx(float(LOSS[-30:].mean()), abs=1e-5)
    assert tuple(factors) == FACTORS
    assert [each.value for each in factors["gain of the Jacobians"]["score"]] == pytest.approx([3] * 10)
