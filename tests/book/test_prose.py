"""The prose pages: the examples of the library's pages run, and every reference leads out."""

import re
from pathlib import Path

import pytest

from influence_lib.store import repository

BOOK = repository() / "book"
EXAMPLE = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PAGES = sorted(page for page in (BOOK / "api").glob("*.md") if EXAMPLE.search(page.read_text(encoding="utf-8")))


def test_there_are_examples():
    assert {"index", "data", "pretrain", "influence", "theory", "store", "estimate"} <= {page.stem for page in PAGES}


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
    for name in ("data", "pretrain", "influence", "studies", "theory", "store", "estimate"):
        assert f".. automodule:: influence_lib.{name}\n   :members:\n" in text
