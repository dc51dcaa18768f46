"""The audit from the command line, on a table of one's own."""

import numpy as np
import pandas as pd
import pytest

from influence_lib.cli import main
from influence_lib.studies.fairness import adjusted_odds, audit


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    groups = rng.choice(["a", "b"], 500)
    brightness = rng.normal(size=500) + (groups == "a")
    frame = pd.DataFrame({"score": brightness + rng.normal(size=500), "who": groups, "brightness": brightness})
    file = tmp_path / "scores.csv"
    frame.to_csv(file, index=False)
    return file


def test_the_report_is_that_of_the_audit(table, capsys):
    assert main(["fairness", str(table), "--score", "score", "--groups", "who", "--k", "50"]) == 0
    frame = pd.read_csv(table)
    assert capsys.readouterr().out == audit(frame["score"], frame[["who"]], 50).report()


def test_what_is_measured_is_taken_out(table, capsys):
    options = ["--score", "score", "--groups", "who", "--k", "50", "--measured", "brightness"]
    assert main(["fairness", str(table), *options]) == 0
    frame = pd.read_csv(table)
    top = frame["score"] >= frame["score"].nlargest(50).min()
    odds = adjusted_odds(top, frame["who"], frame[["brightness"]]).loc["a"]
    line = f"| highest | a (who) | {odds['alone']:.2f} | {odds['adjusted']:.2f} | {odds['e_value']:.2f} |"
    assert line in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"--score": "points"}, "a column is 'points', but it must be one of"),
        ({"--score": "who"}, "the score of image 0 is nan"),
        ({"--k": "300"}, "k is 300, but it must be a whole number from 1 to half of the 500 images"),
        ({"file": "nowhere.csv"}, "nowhere.csv cannot be read as a CSV"),
    ],
)
def test_a_wrong_argument_is_one_sentence(table, capsys, change, sentence):
    given = {"file": str(table), "--score": "score", "--groups": "who"} | change
    options = [part for name, value in given.items() if name != "file" for part in (name, value)]
    assert main(["fairness", given["file"], *options]) == 2
    assert sentence in capsys.readouterr().err
