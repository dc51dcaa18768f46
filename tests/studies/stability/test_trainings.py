import numpy as np
import pytest

from influence_lib.errors import InputError
from influence_lib.influence import corrected_agreement, partial_agreement, rank_agreement
from influence_lib.studies import between_trainings, left_between_trainings
from tests.studies.scores import scores_of

RNG = np.random.default_rng(0)
SHARED = RNG.normal(size=400)


def training(noise=0.3):
    """Return scores in two draws that share a part with every other training."""
    return scores_of(*(SHARED + noise * RNG.normal(size=400) for _ in range(2)))


def test_a_row_for_each_pair_and_a_column_for_each_kind():
    pair, losses = (training(), training()), (training(), training())
    table = between_trainings({"SimCLR": {"EK-FAC": pair, "raw loss": losses}}, corrected="EK-FAC", seed=1)
    assert list(table.index) == ["SimCLR"]
    assert table.loc["SimCLR"].to_dict() == {
        "EK-FAC": rank_agreement(*pair, 1),
        "raw loss": rank_agreement(*losses, 1),
        "EK-FAC, without noise ρ*": corrected_agreement(*pair, 1),
    }


def test_without_noise_trainings_that_share_the_signal_agree():
    table = between_trainings({"a": {"score": (training(1.0), training(1.0))}}, corrected="score")
    agreement, corrected = table.loc["a"]
    assert agreement.below(0.8)
    assert corrected.low < 1 < corrected.high


def test_what_is_shared_is_known_and_the_rest_is_left():
    own = RNG.normal(size=400)
    pair = scores_of(SHARED + own), scores_of(SHARED - own)
    known = {"signal": [scores_of(SHARED)], "nothing": [scores_of(RNG.normal(size=400))]}
    left = left_between_trainings(pair, known)
    assert list(left) == ["as it is", "signal", "nothing", "all of these"]
    assert left["as it is"] == rank_agreement(*pair)
    assert left["signal"].below(-0.8)  # of opposite signs once the signal is taken out
    assert abs(left["nothing"].value - left["as it is"].value) < 0.02
    assert left["all of these"] == partial_agreement(*pair, [*known["signal"], *known["nothing"]])


def test_wrong_pairs_are_refused():
    pair = training(), training()
    with pytest.raises(InputError, match="the number of pairs is 0"):
        between_trainings({}, corrected="EK-FAC")
    with pytest.raises(InputError, match="corrected is 'EK-FAC', but it must be one of 'raw loss'"):
        between_trainings({"a": {"raw loss": pair}}, corrected="EK-FAC")
    with pytest.raises(InputError, match=r"known\['loss'\] is 'Scores', but it must be a list of Scores"):
        left_between_trainings(pair, {"loss": pair[0]})
