"""The command ``results``."""

import json
from pathlib import Path

import pytest

from influence_lib import store
from influence_lib.cli import main

SCORES = {"kind": "scores", "name": "tour", "draws": 2, "noise": {"std": 0.2, "mean": 0.05}}


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """Return a folder with three results of scores, which differ in one setting, and an encoder."""
    for draws in (2, 3):
        store.get({**SCORES, "draws": draws}, lambda: {"x": 1}, place="results", root=tmp_path)
    long = {**SCORES, "name": "long-" + "name" * 12, "encoder": {"name": "simclr", "n": 5, "weights": "a" * 64}}
    store.get(long, lambda: {"x": 1}, place="results", root=tmp_path)
    store.get({"kind": "encoder", "width": 16, "hash": "0" * 64}, lambda: {"x": 1}, root=tmp_path)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["results", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def test_there_may_be_no_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--root", tmp_path) == f"No results in {tmp_path} yet.\n"


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_the_table_fits_the_terminal(
    columns: int, filled: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = run(capsys, "--root", filled).splitlines()
    assert max(map(len, lines)) <= columns
    assert len(lines) == 2 + 4 + 1  # headings, results, and what is shown


def test_the_table_names_the_settings_that_differ(
    filled: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    lines = [line.split() for line in run(capsys, "--root", filled).splitlines()]
    date = store.entries(filled)[0].created[:10]
    assert lines[:2] == [["artifacts/encoder", "(1)"], ["encoder", "0", "kB", date, "width=16"]]  # alone: all
    assert lines[2] == ["results/scores", "(3)"]
    assert lines[3][-1] == "encoder=simclr[5]"
    assert sorted(lines[4:6]) == [["tour", "0", "kB", date], ["tour", "0", "kB", date, "draws=3"]]


def test_one_result_is_shown_in_full_by_its_name_or_its_folder(
    filled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = run(capsys, "tour", "--root", filled)
    assert both.count(": scores, 0 kB, ") == 2
    folder = store.path(SCORES, "results", filled)
    one = run(capsys, folder.name, "--root", filled)
    assert one.startswith(f"results/scores/{folder.name}: scores, ")
    assert json.loads(one.partition("\n")[2]) == {"draws": 2, "noise": {"std": 0.2, "mean": 0.05}}


def test_json_has_everything(filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (entry,) = json.loads(run(capsys, "--kind", "encoder", "--json", "--root", filled))
    assert entry["settings"] == {"width": 16, "hash": "0" * 64}
    files = (filled / entry["folder"]).iterdir()
    assert entry["bytes"] == sum(file.stat().st_size for file in files if file.name != "manifest.json")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--kind", "score"], "error: --kind is 'score', but it must be one of 'encoder', 'scores'."),
        (["tuor"], "error: NAME is 'tuor', but it must be the name of a stored result ("),
    ],
)
def test_what_is_not_there_is_one_sentence(
    arguments: list[str], said: str, filled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["results", *arguments, "--root", str(filled)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(said)
    assert error.count("\n") == 1
