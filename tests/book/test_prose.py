"""The prose pages: their examples run, every reference leads out, and the map of the files is true."""

import re
from pathlib import Path

import pytest

from influence_lib.store import repository

ROOT = repository()
BOOK = ROOT / "book"
EXAMPLE = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PAGES = sorted(page for page in (BOOK / "api").glob("*.md") if EXAMPLE.search(page.read_text(encoding="utf-8")))


def test_there_are_examples():
    assert {page.stem for page in PAGES} == {page.stem for page in (BOOK / "api").glob("*.md")}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_of_a_page_run(page: Path, tmp_path, monkeypatch):
    monkeypatch.setattr("influence_lib.store.repository", lambda root=None: tmp_path)
    for example in EXAMPLE.findall(page.read_text(encoding="utf-8")):
        exec(compile(example, page.name, "exec"), {"__name__": "example"})


def test_every_reference_has_an_address():
    entries = re.findall(r"@\w+\{(\w+),(.*?)\n\}", (BOOK / "references.bib").read_text(encoding="utf-8"), re.DOTALL)
    assert len(entries) > 15
    assert [key for key, fields in entries if not re.search(r"\burl\s*= \{https://[^}]+\}", fields)] == []


def test_every_export_is_on_a_page():
    text = "".join(page.read_text(encoding="utf-8") for page in (BOOK / "api").glob("*.md"))
    rooms = ("data", "pretrain", "influence", "studies", "theory", "figures", "notebook", "book")
    studies = (
        "attribution",
        "bend",
        "bridges",
        "continual",
        "duplicates",
        "fairness",
        "patterns",
        "removal",
        "scoring",
        "trend",
    )
    within = ("theory.curves", *(f"studies.{name}" for name in studies))
    for name in (*rooms, *within, "checkout", "errors", "estimate", "finding", "replication", "store"):
        assert f".. automodule:: influence_lib.{name}\n   :members:\n" in text


def test_the_map_of_the_readme_leads_to_files_that_are_there():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.partition("| to change |")[2].partition("\n\n")[0]
    places = re.findall(r"`([\w/]+(?:\.\w+|/))`", table)
    assert len(places) > 25
    rooms = (ROOT / "influence_lib", ROOT, BOOK)
    assert [place for place in places if not any((room / place).exists() for room in rooms)] == []
