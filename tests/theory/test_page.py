"""What a reader sees: the page's Markdown and the command line."""

import json
import re
from dataclasses import replace

import pytest
from bs4 import BeautifulSoup

from influence_lib import theory
from influence_lib.cli import main
from influence_lib.theory import commands, page, registry
from influence_lib.theory.statement import OURS

SOME = ["lemma3", "claim4_proof", "claim5", "ext_homogeneous"]


@pytest.fixture(scope="module")
def reports():
    return theory.check_all(SOME, trials=2, progress=False)


def test_overview_lists_all():
    text = theory.overview(theory.STATEMENTS.values())
    for name, statement in theory.STATEMENTS.items():
        assert text.count(f"{{prf:ref}}`{name}`") == 1
        assert statement.line in text


def test_the_grid_has_a_letter_and_a_link_for_each_of_the_papers_statements():
    page_ = BeautifulSoup(theory.grid(theory.STATEMENTS.values()), "html.parser")
    papers = [s for s in theory.STATEMENTS.values() if s.place != OURS]
    cells = page_.select(".theory-grid a")
    assert [(cell["href"], cell.text) for cell in cells] == [(f"#{s.id}", page.LETTERS[s.verdict]) for s in papers]
    assert all(page.words(s.verdict) in cell["aria-label"] for s, cell in zip(papers, cells, strict=True))
    assert not any("$" in cell["aria-label"] for cell in cells)
    counts = [int(re.search(r"\d+", item.text)[0]) for item in page_.select("li")]
    assert sum(counts) == len(papers) == 34
    assert all(meaning in page_.text for meaning in theory.MEANING.values())
    assert len(set(page.LETTERS.values())) == len(theory.VERDICTS)


def test_a_section_has_statement_verdict_counterexample_proof_and_check(reports):
    text = theory.section(reports["claim4_proof"])
    assert "::::{prf:proposition} The gradient norm in the proof of Claim 4\n:label: claim4_proof" in text
    assert '<span class="verdict v-fails">fails</span>' in text
    assert "$16 \\epsilon^{4} = 0$" in text
    assert "$0 = 0$" in text
    assert "{prf:proof}" in text
    assert "The check: passed" in text
    assert "def _claim4_proof(" in text
    assert "false as printed, true as corrected" in text


def test_a_verdict_with_an_assumption_shows_what_happens_without_it(reports):
    text = theory.section(reports["claim5"])
    assert "Without the assumption" in text
    assert "corrected (true)" not in text


def test_theorems_of_the_companion_are_theorems(reports):
    assert "::::{prf:theorem}" in theory.section(reports["ext_homogeneous"])
    assert "{prf:theorem}" not in theory.section(reports["lemma3"])


def test_every_reference_in_the_texts_leads_to_a_statement():
    for statement in theory.STATEMENTS.values():
        for text in (statement.says, statement.meant, statement.found, statement.proof, statement.rests):
            for part in text.split("{prf:ref}`")[1:]:
                assert part.split("`")[0] in theory.STATEMENTS


def test_every_statement_has_all_its_texts():
    for s in theory.STATEMENTS.values():
        assert all(text.strip() for text in (s.title, s.place, s.line, s.says, s.found, s.proof, s.rests)), s.id
        assert "\n" not in s.line
        for text in (s.says, s.meant, s.found, s.proof):
            assert text.count("$") % 2 == 0, s.id


def broken(name):
    statement = theory.statement(name)
    wrong = {n: replace(f, holds=lambda *a, f=f: 2 * f.holds(*a)) for n, f in statement.formulas.items()}
    return replace(statement, formulas=wrong)


def test_a_failed_check_is_visible_and_fails_the_command(monkeypatch, capsys):
    monkeypatch.setitem(registry.STATEMENTS, "lemma3", broken("lemma3"))
    assert main(["theory", "lemma3"]) == 1
    assert "FAILED" in capsys.readouterr().out
    monkeypatch.setattr(commands, "STATEMENTS", {"lemma3": broken("lemma3"), "lemma1": theory.statement("lemma1")})
    assert main(["theory"]) == 1
    out = capsys.readouterr().out
    assert "FAILED lemma3" in out
    assert "ok     lemma1" in out
    assert "2 statements" in out
    assert "1 failed" in out
    report = theory.check(broken("lemma3"), trials=1)
    assert "The check: FAILED" in page.section(report)


def test_the_table_and_json_name_verdict_and_checks(monkeypatch, capsys):
    monkeypatch.setattr(commands, "STATEMENTS", {name: theory.statement(name) for name in ("lemma3", "claim5")})
    assert main(["theory"]) == 0
    assert "holds with assumptions" in capsys.readouterr().out
    assert main(["theory", "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    assert [(e["id"], e["verdict"], e["passed"]) for e in entries] == [
        ("lemma3", "holds", True),
        ("claim5", "holds_with_assumptions", True),
    ]
    assert set(entries[1]["checks"]) == {"SymPy", "numbers", "sharpness"}
    assert all(entry["seconds"] > 0 for entry in entries)


def test_one_statement_is_explained(capsys):
    assert main(["theory", "claim4_proof"]) == 0
    out = capsys.readouterr().out
    assert "fails (false as printed" in out
    assert "as printed (false)" in out
    assert "Proof:" in out


def test_an_unknown_id_is_one_sentence(capsys):
    assert main(["theory", "lemma9"]) == 2
    assert capsys.readouterr().err.startswith("error: the id of a statement is 'lemma9', but it must be one of ")
