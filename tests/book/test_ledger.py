"""The ledger: its rows, its page and the command; what is shown is what the findings hold."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from bs4 import BeautifulSoup

from influence_lib import theory
from influence_lib.book import cards, ledger
from influence_lib.book.axis import axis, described, number, shared_limits
from influence_lib.book.claims import VERDICTS, Claim
from influence_lib.book.findings import read_findings, write_findings
from influence_lib.cli import main
from influence_lib.errors import InputError
from influence_lib.estimate import Estimate
from influence_lib.finding import Finding
from influence_lib.store import repository
from influence_lib.studies import findings as studies
from influence_lib.studies.findings.single import _two_trainings as two_trainings
from influence_lib.theory.statement import OURS

ROOT = repository()
CHAPTERS = [file.stem for file in (ROOT / "notebooks").glob("[0-9][0-9]_*.md")]
LETTERS_OF_A = ["T1", "T2", "T3", "F2", "F3", "F4", "F12", "F5", "F13–16", "F6", "F7", "F8", "F9", "T4", "F10/11", "TH"]
IDS = [
    *(f"A-{name}" for name in LETTERS_OF_A),
    *(f"B-{name}" for name in ["F1", "F2", "F3", "F4", "F5", "F6", "F7", "EK"]),
    *(f"C-{number}" for number in range(1, 7)),
    *(f"D-{name}" for name in ["F2", "F3", "F4", "F6", "F8/9", "F10", "A1", "T1", "F1", "F5"]),
]


@pytest.fixture(scope="module")
def content() -> ledger.Ledger:
    return ledger.read(ROOT / "book" / "ledger.yml", CHAPTERS)


@pytest.fixture(scope="module")
def findings() -> dict[str, Finding]:
    return read_findings(ROOT)


def test_the_ledger_has_every_row(content):
    assert [row.id for row in content.rows] == IDS
    assert len({row.anchor for row in content.rows}) == len(IDS)


def test_the_page_shows_what_the_findings_hold(content, findings):
    page = cards.page(content, findings)
    shown = [svg["aria-label"] for svg in BeautifulSoup(page, "html.parser").select("svg.axis")]
    expected = [
        described(claim, findings[claim.ours]) for row in content.rows for claim in row.claims if claim.ours is not None
    ]
    assert len(expected) > 10
    assert shown == expected
    value = findings["replication.two_trainings.ekfac.simclr"].values[""]
    assert (
        f"here {number(value.value)}, interval {number(value.low)} to {number(value.high)} over 3 trainings" in shown[0]
    )


def test_every_row_is_in_the_strip_and_has_a_card(content, findings):
    page = cards.page(content, findings)
    cells = BeautifulSoup(page, "html.parser").select(".ledger-strip a")
    assert [cell["href"] for cell in cells] == [f"#{row.anchor}" for row in content.rows]
    for row, cell in zip(content.rows, cells, strict=True):
        verdict = ledger.judged(row, findings).verdict
        assert cell.text == cards.LETTERS[verdict]
        assert cell["aria-label"] == f"{row.id}: {verdict}"
        assert f":name: {row.anchor}\n" in page


def test_letters_and_meanings_are_complete_and_differ():
    assert list(cards.LETTERS) == list(cards.MEANING) == list(VERDICTS)
    assert len(set(cards.LETTERS.values())) == len(VERDICTS)


def test_findings_of_the_theory_and_the_gate_are_those_of_the_results(findings, tmp_path):
    results = studies.Results(ROOT)
    for study in ("theory", "pretraining"):
        write_findings(tmp_path, study, studies.STUDIES[study](results))
    made = read_findings(tmp_path)
    assert made == {key: each for key, each in findings.items() if key.startswith(("theory.", "pretraining."))}


def test_a_finding_of_the_scores_is_that_of_the_results(findings, tmp_path):
    results = studies.Results(ROOT)
    found = two_trainings(results, "byol-cifar10", "ekfac")
    write_findings(tmp_path, "stability", {"two_trainings.byol-cifar10.ekfac": found})
    ((key, made),) = read_findings(tmp_path).items()
    stored = findings[key]
    assert made.values[""].value == pytest.approx(stored.values[""].value, abs=2e-6)
    assert (made.gate, made.trainings) == (stored.gate, stored.trainings) == (False, 1)


@pytest.mark.parametrize("study", ["attribution", "duplicates", "fairness", "patterns", "removal", "replication"])
def test_findings_over_trainings_are_those_of_the_results(findings, study):
    made = studies.STUDIES[study](studies.Results(ROOT))
    stored = {key.removeprefix(f"{study}."): each for key, each in findings.items() if key.startswith(f"{study}.")}
    assert made.keys() == stored.keys()
    for key, finding in made.items():
        assert (finding.trainings, finding.gate) == (stored[key].trainings, stored[key].gate)
        for name, value in finding.values.items():
            assert (value.low, value.value, value.high) == pytest.approx(
                (stored[key].values[name].low, stored[key].values[name].value, stored[key].values[name].high), abs=2e-6
            )


def test_the_gate_asks_for_a_third_of_the_way_to_the_control():
    results = studies.Results(ROOT)
    assert results.gate("simclr-cifar10", "vicreg-cifar10") is True
    assert results.gate("simclr-cifar10", "barlow-cifar10") is False
    assert results.gate("simclr-cifar100") is False
    assert results.gate("simclr-controlled") is None  # there is no supervised control


def test_the_ledger_counts_the_theorys_verdicts(findings):
    counts = Counter(entry.verdict for entry in theory.STATEMENTS.values() if entry.place != OURS)
    values = {name: value.value for name, value in findings["theory.verdicts"].values.items()}
    assert values == {"all": counts.total(), **counts}


def test_no_verdict_is_stronger_than_its_trainings_allow(content, findings):
    judged = [claim for row in content.rows for claim in ledger.judged(row, findings).claims]
    few = [judgement for _, finding, judgement in judged if finding is None or finding.trainings < 3]
    assert len(few) > 10
    assert not {judgement.verdict for judgement in few} & {"replicates", "does not replicate", "answered"}


def test_the_findings_of_the_book_have_numbers_verdicts_and_links(content, findings):
    text = cards.headlines(content, findings)
    lines = [line for line in text.splitlines() if line.startswith("- ")]
    assert len(lines) == sum(row.line is not None for row in content.rows) > 5
    value = findings["replication.two_trainings.ekfac.simclr"].values[""].value
    assert f"a correlation of {number(value)}" in text
    for line in lines:
        assert re.search(
            r'<span class="verdict [^>]+>[a-z ]+</span> \{ref\}`[^`]+`, \{doc\}`/book/_executed/\w+`$', line
        )
        assert "stability." not in line
    of_twins = next(line for line in lines if "Two trainings on CIFAR-10 rank" in line)
    assert "(3 trainings, or pairs of them; some encoders have not passed" in of_twins
    assert all("training" not in line.split(" (")[-1] for line in lines if "statements" in line)


@pytest.mark.parametrize(
    ("trainings", "gate", "said"),
    [
        (0, None, ""),
        (1, True, " (a single training, or pair of them)"),
        (3, True, " (3 trainings, or pairs of them)"),
        (3, None, " (3 trainings, or pairs of them; {term}`the gate <gate>` is not measured yet)"),
        (3, False, " (3 trainings, or pairs of them; some encoders have not passed {term}`the gate <gate>`)"),
    ],
)
def test_a_headline_says_what_it_rests_on(trainings, gate, said):
    finding = Finding({"": Estimate.stated(1.0)}, trainings, gate)
    assert cards._basis([finding]) == said


ROW = {"id": "A-T1", "item": "Table 1"}
RESULT = {"says": "It falls", "margin": "falls", "stated": "by 1", "trainings": 1}
WHERE = {"where": "01_tour", "profile": "cpu"}


def written(tmp_path: Path, *rows: dict[str, Any]) -> Path:
    file = tmp_path / "ledger.yml"
    file.write_text(yaml.safe_dump({"sections": [{"title": "T", "about": "About", "rows": list(rows)}]}))
    return file


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"verdict": "replicates"}, "verdict of A-T1 is 'replicates': Extra inputs are not permitted"),
        ({"claims": [RESULT]}, "A-T1 has a result, which needs where and profile"),
        ({"claims": [RESULT], "where": "01_tour"}, "A-T1 has a result, which needs profile"),
        ({"claims": [RESULT], **WHERE, "id": "C-1"}, "C-1 is an open question, of which every claim must"),
        (
            {"claims": [RESULT | {"margin": "down"}], **WHERE},
            r"claims\.0\.margin of A-T1 is 'down', but it must be 'above X'",
        ),
        ({"where": "99_none"}, "where is '99_none' in A-T1, but it must be in"),
        ({"item": None}, "item of A-T1 is None, but it must be a valid string"),
        ({"id": "X-1"}, "id of X-1 is 'X-1': String should match pattern"),
    ],
)
def test_a_wrong_row_is_one_sentence(tmp_path, row, said):
    with pytest.raises(InputError, match=said) as error:
        ledger.read(written(tmp_path, ROW | row), ["01_tour"])
    assert "\n" not in str(error.value)


def test_an_id_is_used_once(tmp_path):
    with pytest.raises(InputError, match="the id A-T1 is used more than once"):
        ledger.read(written(tmp_path, ROW, ROW), [])


def test_a_ledger_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match=r"The ledger ledger.yml cannot be read"):
        ledger.read(tmp_path / "ledger.yml", [])


def test_a_key_without_a_finding_names_those_near_it(findings):
    row = ledger.Row(**ROW, **WHERE, claims=[{"says": "x", "margin": "falls", "ours": "theory.verdict"}])
    with pytest.raises(InputError, match=r"no finding 'theory.verdict'; near it are \['theory.verdicts'\]"):
        ledger.judged(row, findings)
    with pytest.raises(InputError, match=r"no finding 'theory\.none'"):
        ledger.with_numbers("{theory.none:.2f}", findings)
    with pytest.raises(InputError, match=r"theory.verdicts has no value 'bold', only \['all', "):
        ledger.with_numbers("{theory.verdicts#bold}", findings)


def test_damaged_findings_are_one_sentence(tmp_path):
    file = write_findings(tmp_path, "a", {})
    file.write_text('{"b": {"values": {}, "trainings": -1}}')
    with pytest.raises(InputError, match=r"results/findings/a.json is damaged: .* makes it anew\.$") as error:
        read_findings(tmp_path)
    assert "\n" not in str(error.value)


def test_numbers_in_texts():
    found = {"a.b": Finding(values={"": Estimate.stated(-0.123), "x y": Estimate.stated(12)}, trainings=0)}
    text = ledger.with_numbers("{a.b:.2f} {a.b:.0%} {a.b#x y:.0f} {cite:t}`k` {doc}`d` {a.b}", found)
    assert text == "−.12 −12% 12 {cite:t}`k` {doc}`d` −.12"


def test_the_axis_has_the_margin_and_every_mark_inside():
    claim = Claim(says="x", statistic="s", paper=0.96, margin="above .96", ours="a.b")
    found = Finding(values={"": Estimate(0.7, 0.6, 0.8, 3, "training")}, trainings=3)
    low, high = shared_limits([(claim, found)])
    assert low <= 0.6
    assert high > 0.96
    svg = BeautifulSoup(axis(claim, found), "html.parser").svg
    assert svg["aria-label"] == "here .70, interval .60 to .80 over 3 trainings, the papers .96"
    xs = [float(svg.select_one(part)["cx" if part.startswith("circle") else "x1"]) for part in ("line.ours", "circle")]
    assert xs == sorted(xs)
    shade = svg.select_one("rect.margin")
    assert float(shade["x"]) > float(svg.select_one("line.ours")["x2"])
    assert float(shade["width"]) > 0


def test_the_axis_names_what_an_order_compares():
    claim = Claim(says="x", paper={"b": 2, "a": 1}, margin="order b > a", ours="a.b")
    found = Finding(values={"a<": Estimate.stated(3.0), "b": Estimate.stated(3.0)}, trainings=0)
    svg = BeautifulSoup(axis(claim, found), "html.parser").svg
    assert [text.text for text in svg.find_all("text")][2:] == ["b", "a<"]
    assert svg["aria-label"] == "b: here 3, the papers 2; a<: here 3"


def test_the_command_prints_a_line_a_row(capsys):
    assert main(["ledger"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == IDS
    assert main(["ledger", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["id"] for row in rows] == IDS
    (row,) = [row for row in rows if row["id"] == "A-F2"]
    assert row["claims"][0]["finding"]["trainings"] == 3
    assert row["claims"][0]["verdict"] == row["verdict"] == "not testable at this scale"
    assert "{" not in row["line"]


TYPED = re.compile(r"[−-]?(?:\d+\.\d+|(?<![\dA-Za-z])\.\d+|\d+(?= ?%))")
SETTING = re.compile(r"N\([^)]*\)|σ = [.\d]+|H as it is at \.2|solo-learn [.\d]+|\(\.01:")


def test_no_number_of_ours_is_typed(content):
    """What stands in a text is read from the findings, is the papers', or is a setting."""
    for row in content.rows:
        papers = " ".join([row.paper or "", row.item, *(str(claim.stated_by_the_papers) for claim in row.claims)])
        allowed = {number.lstrip("0") for number in re.findall(r"\d*\.?\d+", papers)}
        allowed |= {f"{float(number):.{n}f}".lstrip("0") for number in allowed - {""} for n in (1, 2)}  # rounded
        for text in (row.line, row.note, *(claim.stated for claim in row.claims)):
            plain = SETTING.sub("", ledger.PLACEHOLDER.sub("", text or ""))
            typed = {number.lstrip("0") for number in TYPED.findall(plain)} - allowed
            assert not typed, (row.id, typed)
