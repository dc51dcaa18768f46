"""The policy of verdicts: what each needs, tried on findings made by hand."""

from typing import Any

import pytest
from pydantic import ValidationError

from influence_lib.book.claims import Claim, Margin, judge, of_row
from influence_lib.estimate import Estimate
from influence_lib.finding import Finding, Trend
from influence_lib.replication import over_trainings, power, standard_error
from influence_lib.studies.trend import over_scales

SAID: dict[str, Any] = {
    "says": "They agree",
    "statistic": "rank correlation",
    "paper": 0.96,
    "margin": "above .96",
    "ours": "a.b",
}
CLAIM = Claim(**SAID)


def trend(over: str, at: list[float], values: list[float]) -> Trend:
    return over_scales(over, {"": {scale: Estimate.stated(value) for scale, value in zip(at, values, strict=True)}})


FLAT = trend("epochs", [6, 24, 60], [0.7, 0.7, 0.69])


def estimate(low: float, high: float, unit: str = "training") -> Estimate:
    return Estimate((low + high) / 2, low, high, 3, unit)


def finding(low: float = 0.6, high: float = 0.7, unit: str = "training", **more: Any) -> Finding:
    full: dict[str, Any] = {"trainings": 3, "gate": True, "trend": FLAT} | more
    return Finding(values={"": estimate(low, high, unit)}, **full)


def test_inside_the_margin_in_three_trainings_replicates():
    assert judge(CLAIM, finding(0.97, 0.98)).verdict == "replicates"
    assert judge(CLAIM, finding(0.97, 0.98, trend=None)).verdict == "replicates"


def test_outside_with_everything_that_it_needs_does_not_replicate():
    assert judge(CLAIM, finding()).verdict == "does not replicate"


@pytest.mark.parametrize("where", [(0.97, 0.98), (0.6, 0.7)])
@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ({"trainings": 2}, "3 trainings, or pairs of them, are needed and there are 2"),
        ({"trainings": 0}, "there is none"),
        ({"gate": False}, "n encoder has not learned"),
        ({"gate": None}, "whether the encoders have learned was not measured"),
        ({"unit": "image"}, "he intervals are not over trainings"),
    ],
)
def test_neither_verdict_without_trainings_gate_and_intervals_over_trainings(where, missing, said):
    verdict, reason = judge(CLAIM, finding(*where, **missing))
    assert verdict == "not testable at this scale"
    assert said.lower() in reason.lower()


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ({"low": 0.56, "high": 0.955}, "the power of the test is 63%, and 80% is needed"),
        ({"trend": None}, "no trend over 3 scales"),
        ({"trend": trend("width", [8, 16], [0.7, 0.6])}, "no trend over 3 scales"),
        ({"trend": trend("epochs", [6, 24, 60], [0.5, 0.6, 0.7])}, "more epochs the value still"),
        ({"trend": trend("epochs", [6, 24, 60], [0.7, 0.5, 0.6])}, "more epochs the value still"),
    ],
)
def test_does_not_replicate_is_refused_without_power_and_a_trend_that_stays_away(missing, said):
    verdict, reason = judge(CLAIM, finding(**missing))
    assert verdict == "not testable at this scale"
    assert said in reason


def test_the_power_is_that_to_see_what_the_papers_state():
    """Against `replication.power`, which has tests of its own: which effect is asked for, and with which error."""
    gain = Margin.parse("above 0")
    found = over_trainings([-0.9, -1.0, -1.1])
    error = standard_error(found)
    assert gain.power({"": found}, {"": 0.05}) == pytest.approx(power(0.05, error, 3))
    assert gain.power({"": found}, {}) == pytest.approx(power(1.0, error, 3))
    order = Margin.parse("order b > a")
    high = over_trainings([1.0, 1.1, 1.2])
    both = {"a": high, "b": found}
    error = (error**2 + standard_error(high) ** 2) ** 0.5
    assert order.power(both, {"a": 0.1, "b": 0.4}) == pytest.approx(power(0.3, error, 3))
    assert order.power(both, {"a": 0.4, "b": 0.1}) == pytest.approx(power(2.1, error, 3))
    assert order.power({"a": Estimate(1, 1, 1, 3, "training"), "b": Estimate(0, 0, 0, 3, "training")}, {}) == 1


def test_an_interval_across_the_margin_decides_nothing():
    assert judge(CLAIM, finding(0.9, 0.97)).verdict == "not testable at this scale"


def test_numbers_that_are_stated_never_replicate():
    stated = Claim(says="It falls", margin="falls", stated="It falls by 1", trainings=5)
    verdict, reason = judge(stated)
    assert verdict == "not testable at this scale"
    assert reason == "The numbers are stated and not read from a stored finding."


def test_the_other_kinds():
    assert judge(Claim(says="x")).verdict == "not yet"
    assert judge(Claim(says="x", margin="rises")).verdict == "not yet"
    assert judge(Claim(says="x", kind="setting", why="A choice.")) == ("setting", "A choice.")
    assert judge(Claim(says="x", out_of_reach=True, why="ImageNet.")) == ("not testable at this scale", "ImageNet.")
    assert judge(Claim(says="x", kind="check")).verdict == "not yet"
    assert judge(Claim(says="x", kind="check", stated="Equal to 5e-6")).verdict == "checked"
    question = Claim(says="x?", kind="question", ours="a.b")
    assert judge(question, finding(trend=None)).verdict == "answered"
    assert judge(question, finding(trainings=1)).verdict == "not testable at this scale"


@pytest.mark.parametrize(
    ("margin", "inside", "outside"),
    [
        ("above .96", (0.961, 0.97), (0.9, 0.959)),
        ("below -1", (-3, -1.1), (-0.9, 0)),
        ("between .7 and .8", (0.71, 0.79), (0.81, 0.9)),
        ("rises", (0.1, 0.2), (-0.2, -0.1)),
        ("falls", (-0.2, -0.1), (0.1, 0.2)),
    ],
)
def test_margins_with_limits(margin, inside, outside):
    parsed = Margin.parse(margin)
    for (low, high), holds in ((inside, True), (outside, False)):
        values = {"": estimate(low, high)}
        assert (parsed.holds(values), parsed.fails(values)) == (holds, not holds)
        assert (parsed.distance({"": (low + high) / 2}) == 0) == holds
    across = {"": estimate(min(inside[0], outside[0]), max(inside[1], outside[1]))}
    assert not parsed.holds(across)
    assert not parsed.fails(across)


def test_an_order_compares_each_with_the_next_and_with_the_rest():
    margin = Margin.parse("order noise > crop > rest")
    values = {
        "crop": estimate(0.7, 0.8),
        "grey": estimate(0.2, 0.3),
        "noise": estimate(0.9, 1),
        "flip": estimate(0.1, 0.4),
    }
    assert margin.holds(values)
    assert not margin.holds(values | {"flip": estimate(0.1, 0.75)})
    assert not margin.fails(values | {"flip": estimate(0.1, 0.75)})
    assert margin.fails(values | {"flip": estimate(0.81, 0.85)})
    assert margin.distance({"noise": 0.5, "crop": 0.75, "grey": 0.5, "flip": 0.8}) == pytest.approx(0.25 + 0.05)


@pytest.mark.parametrize("text", ["", "above", "above x", "order a", "order a > ", "about .9", "over .9", "above .9 "])
def test_a_margin_that_says_nothing_is_refused(text):
    with pytest.raises(ValidationError, match="must be 'above X'"):
        Claim(says="x", margin=text)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"ours": "a.b"}, "has a result, but no margin"),
        ({"stated": "s", "margin": "falls"}, "not of how many trainings"),
        ({"kind": "question", "stated": "s"}, "not of how many trainings"),
        ({"kind": "setting"}, "does not say why"),
        ({"out_of_reach": True}, "does not say why"),
        ({"verdict": "replicates"}, "Extra inputs are not permitted"),
    ],
)
def test_a_claim_that_cannot_be_judged_is_refused(fields, said):
    with pytest.raises(ValidationError, match=said):
        Claim(says="x", **fields)


PLAIN, ONE, OTHER = (Claim(says="x", reading=reading) for reading in (None, "one", "other"))


@pytest.mark.parametrize(
    ("verdicts", "row"),
    [
        ([], "not yet"),
        (["replicates", "replicates"], "replicates"),
        (["does not replicate"], "does not replicate"),
        (["replicates", "does not replicate"], "partly"),
        (["replicates", "not testable at this scale"], "partly"),
        (["answered", "not yet"], "partly"),
        (["checked", "checked"], "checked"),
        (["setting", "replicates"], "replicates"),
        (["setting", "setting"], "setting"),
        (["does not replicate", "not testable at this scale"], "not testable at this scale"),
        (["does not replicate", "not yet"], "not yet"),
    ],
)
def test_a_row_follows_from_its_claims(verdicts, row):
    assert of_row([PLAIN] * len(verdicts), verdicts) == row


def test_two_readings_are_ambiguous_whatever_comes_out():
    assert of_row([ONE, OTHER], ["replicates", "does not replicate"]) == "ambiguous in the paper"
    assert of_row([ONE, ONE], ["replicates", "replicates"]) == "replicates"
