"""The runner: parameters, execution, manifests, and what is refused."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from influence_lib.book import Book, BookError, build, commands
from influence_lib.book.chapters import Chapter, chapters, profiles
from influence_lib.book.execute import execute, execute_all, executed_file, manifest_file, tidy
from influence_lib.book.freshness import refuse_unfit, stale
from influence_lib.cli import main
from influence_lib.errors import InputError
from influence_lib.influence.curvature.cost import Plan

HEAD = """\
---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# A chapter

"""
PARAMETERS = """\
```{code-cell} ipython3
:tags: [parameters]

epochs: int = 2  # how often
seed: int = 7  # the seed
dataset: str = "controlled"  # which images
```

"""
BODY = """\
```{code-cell} ipython3
import os, sys, time
from tqdm import tqdm
for _ in tqdm(range(3), desc="train"):
    time.sleep(0.2)
print("epochs", epochs)
print(sys.executable, os.getcwd())
```
"""
FIGURE = """
```{code-cell} ipython3
---
mystnb:
  figure:
    caption: A line that falls.
    name: fig-line
  image:
    alt: A line from the upper left to the lower right.
---
import matplotlib.pyplot as plt
plt.plot([0, 1], [1, 0]);
```
"""


def code(source: str, options: str = "") -> str:
    return f"```{{code-cell}} ipython3\n{options}{source}\n```\n\n"


@pytest.fixture
def book(tmp_path: Path) -> Book:
    """Return a book of one chapter, whose library is a single file."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "code.py").write_text("x = 1\n")
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "01_one.md").write_text(HEAD + PARAMETERS + BODY)
    (tmp_path / "requirements.lock").write_text("torch\n")
    return Book(tmp_path, tmp_path / "lib")


def add_profile(book: Book, text: str, profile: str = "cpu", name: str = "01_one") -> None:
    (book.profiles / profile).mkdir(parents=True, exist_ok=True)
    (book.profiles / profile / f"{name}.yml").write_text(text)


def test_defaults_and_profile_give_the_parameters(book: Book) -> None:
    (smoke,) = chapters(book)
    assert smoke.parameters == {"epochs": 2, "seed": 7, "dataset": "controlled"}
    add_profile(book, "epochs: 60\n")
    assert profiles(book) == ["cpu", "smoke"]
    (cpu,) = chapters(book, "cpu")
    assert cpu.changed == {"epochs": 60}
    assert cpu.parameters == {"epochs": 60, "seed": 7, "dataset": "controlled"}


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        ("epoch: 3", "01_one", "01_one.yml is 'epoch', but it must be one of 'epochs', 'seed'"),
        ("- epochs", "01_one", "must be a mapping from parameters to values"),
        ("a: [", "01_one", "profiles/cpu/01_one.yml is no YAML"),
        (
            "epochs: 2026-01-01",
            "01_one",
            r"epochs in profiles/cpu/01_one.yml is datetime.date\(2026, 1, 1\), but it must be",
        ),
        ("epochs: !!set {1, 2}", "01_one", "epochs in profiles/cpu/01_one.yml is .*, but it must be a number, a text"),
        ("epochs: &a [*a]", "01_one", "epochs in profiles/cpu/01_one.yml is .*, but it must be a number, a text"),
        ("epochs: 3", "01_ome", "profiles/cpu/01_ome.yml is '01_ome', but it must be one of '01_one'"),
    ],
)
def test_a_wrong_parameter_file_is_refused(book: Book, text: str, name: str, said: str) -> None:
    add_profile(book, text, name=name)
    with pytest.raises(InputError, match=said):
        chapters(book, "cpu")


def test_unknown_profile_and_chapter_name_those_there(book: Book) -> None:
    with pytest.raises(InputError, match="--profile is 'gpu', but it must be one of 'smoke'"):
        build(book, profile="gpu")
    with pytest.raises(InputError, match="--only is '02_two', but it must be one of '01_one'"):
        build(book, only="02_two")


def test_a_folder_without_notebooks(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no notebook"):
        chapters(Book(tmp_path))


def test_source_hash_follows_text_parameters_library_lock_and_profile(book: Book) -> None:
    hashes = [chapters(book)[0].source_hash]
    assert chapters(book)[0].source_hash == hashes[0]
    for change in (
        lambda: (book.library / "code.py").write_text("x = 2\n"),
        lambda: (book.library / "sub.py").write_text(""),
        lambda: (book.root / "requirements.lock").write_text("torch==1\n"),
        lambda: (book.notebooks / "01_one.md").write_text(HEAD + PARAMETERS + BODY + "\nMore.\n"),
    ):
        change()
        hashes.append(chapters(book)[0].source_hash)
    add_profile(book, "")
    hashes.append(chapters(book, "cpu")[0].source_hash)
    add_profile(book, "epochs: 2")
    hashes.append(chapters(book, "cpu")[0].source_hash)
    assert len(set(hashes)) == len(hashes)


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Book, Chapter]:
    """Return a book whose chapter was executed with the profile cpu."""
    root = tmp_path_factory.mktemp("executed")
    (root / "notebooks").mkdir()
    (root / "notebooks" / "01_one.md").write_text(HEAD + PARAMETERS + BODY + FIGURE)
    book = Book(root, root / "notebooks")
    add_profile(book, "epochs: 5\n")
    (chapter,) = chapters(book, "cpu")
    execute(chapter, book)
    return book, chapter


def test_execution_uses_this_interpreter_the_repository_and_the_profile(
    executed: tuple[Book, Chapter],
) -> None:
    book, _ = executed
    notebook = nbformat.read(executed_file(book, "01_one"), as_version=4)
    (output,) = notebook.cells[3].outputs
    assert output.text == f"epochs 5\n{sys.executable} {book.root}\n"  # and no progress bar


def test_figures_are_outlines(executed: tuple[Book, Chapter]) -> None:
    book, _ = executed
    notebook = nbformat.read(executed_file(book, "01_one"), as_version=4)
    (output,) = notebook.cells[4].outputs
    assert set(output.data) == {"image/svg+xml", "text/plain"}


def test_executed_notebook_has_nothing_that_changes_from_run_to_run(executed: tuple[Book, Chapter]) -> None:
    book, chapter = executed
    file = executed_file(book, "01_one")
    notebook = nbformat.read(file, as_version=4)
    injected = [cell for cell in notebook.cells if "injected-parameters" in cell.metadata.get("tags", [])]
    assert [cell.metadata.tags for cell in injected] == [["injected-parameters", "remove-cell"]]
    assert [cell.id for cell in notebook.cells[:4]] == ["cell-000", "cell-001", "cell-002", "cell-003"]
    assert not any(key in cell.metadata for cell in notebook.cells for key in ("papermill", "execution"))
    before = file.read_bytes()
    execute(chapter, book)
    assert file.read_bytes() == before


def test_manifest_and_footer_say_what_made_the_page(executed: tuple[Book, Chapter]) -> None:
    book, chapter = executed
    manifest = json.loads(manifest_file(book, "01_one").read_text())
    assert manifest["parameters"] == {"epochs": 5, "seed": 7, "dataset": "controlled"}
    assert (manifest["profile"], manifest["seed"], manifest["dataset"]) == ("cpu", 7, "controlled")
    assert manifest["source_sha256"] == chapter.source_hash
    assert {"python", "torch", "kronfluence", "numpy"} <= manifest["versions"].keys()
    assert manifest["seconds"] > 0.6
    footer = nbformat.read(executed_file(book, "01_one"), as_version=4).cells[-1].source
    for part in ("Profile: `cpu`", "`epochs = 5`", "Data: `controlled`", "Device: ", "Commit: ", "torch "):
        assert part in footer


def test_an_up_to_date_chapter_is_fit_and_a_changed_one_is_not(executed: tuple[Book, Chapter]) -> None:
    book, chapter = executed
    assert stale(chapter, book) is None
    refuse_unfit([chapter], book)
    (smoke,) = chapters(book)
    assert stale(smoke, book) == "was executed with the profile 'cpu'"
    with pytest.raises(BookError, match="--profile smoke --only 01_one"):
        refuse_unfit([smoke], book)
    source = book.notebooks / "01_one.md"
    text = source.read_text()
    source.write_text(text + "\nNew.\n")
    assert "changed since it ran" in str(stale(chapters(book, "cpu")[0], book))
    source.write_text(text)


def test_an_executed_notebook_changed_by_hand_is_stale(executed: tuple[Book, Chapter]) -> None:
    book, chapter = executed
    file = executed_file(book, "01_one")
    before = file.read_bytes()
    file.write_bytes(before.replace(b"epochs 5", b"epochs 6"))
    assert "changed by hand" in str(stale(chapter, book))
    file.write_bytes(before)


def test_a_failed_chapter_says_so_and_replaces_nothing(
    book: Book, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = code("from influence_lib.errors import reject\nreject('epochs', epochs, 'at least 3')") + code("1 / 0")
    (book.notebooks / "01_one.md").write_text(HEAD + PARAMETERS + wrong)
    book.executed.mkdir(parents=True)
    executed_file(book, "01_one").write_text("the page of before")
    (book.root / "book" / "ledger.yml").write_text(LEDGER)
    status = main(["book", "--root", str(book.root)])
    said = capsys.readouterr().err
    assert status == 1
    sentence = "error: notebooks/01_one.md with the profile smoke: epochs is 2, but it must be at least 3."
    assert said.splitlines()[-1] == sentence
    progress = [line for line in said.replace("\r", "\n").splitlines()[:-1] if line.strip()]
    assert all(line.startswith("Executing: ") for line in progress), progress
    assert executed_file(book, "01_one").read_text() == "the page of before"
    assert [file.name for file in book.executed.iterdir()] == ["01_one.ipynb"]


def test_a_page_that_cannot_be_written_is_a_sentence(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("influence_lib.book.execute._run", lambda chapter, _: chapter.notebook)
    (book.root / "book").write_text("no folder")
    (chapter,) = chapters(book)
    with pytest.raises(BookError, match=r"01_one.ipynb cannot be written .*: make room\.$"):
        execute(chapter, book)


def test_chapters_are_executed_beside_each_other(book: Book) -> None:
    """Each waits for a file that the other writes."""
    for name, other in (("01_one", "02_two"), ("02_two", "01_one")):
        waiting = f"""
import os, pathlib, time
pathlib.Path("{name}.begun").touch()
until = time.time() + 120
while not pathlib.Path("{other}.begun").is_file() and time.time() < until:
    time.sleep(0.05)
print("both" if pathlib.Path("{other}.begun").is_file() else "alone", os.environ["OMP_NUM_THREADS"])
"""
        (book.notebooks / f"{name}.md").write_text(HEAD + code(waiting.strip()))
    execute_all(chapters(book), book, workers=2)
    threads = max(1, (os.cpu_count() or 1) // 2)
    for chapter in chapters(book):
        assert stale(chapter, book) is None
        text = executed_file(book, chapter.name).read_text()
        assert f"both {threads}" in text


def test_a_chapter_that_fails_is_named_and_the_rest_is_not_begun(book: Book) -> None:
    (book.notebooks / "01_one.md").write_text(HEAD + code("1 / 0"))
    later = ("02_two", "03_three", "04_four", "05_five", "06_six", "07_seven")
    for name in later:
        (book.notebooks / f"{name}.md").write_text(HEAD + code("import time; time.sleep(2)"))
    with pytest.raises(BookError, match=r"notebooks/01_one.md failed in cell .*ZeroDivisionError"):
        execute_all(chapters(book), book, workers=2)
    assert not all(executed_file(book, name).is_file() for name in later)
    with pytest.raises(InputError, match="--workers is 0"):
        execute_all(chapters(book), book, workers=0)


LEDGER = "sections: [{title: T, about: A, rows: [{id: A-T1, item: x}]}]"


def test_only_what_needs_it_is_executed(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    (book.notebooks / "02_two.md").write_text(HEAD + code("1"))
    (book.root / "book").mkdir()
    (book.root / "book" / "ledger.yml").write_text(LEDGER)
    ran: list[str] = []
    fresh = {"01_one"}

    def fake_execute(chapter: Chapter, _: Book) -> None:
        ran.append(chapter.name)
        fresh.add(chapter.name)

    monkeypatch.setattr("influence_lib.book.execute.execute", fake_execute)
    monkeypatch.setattr(commands, "stale", lambda chapter, _: None if chapter.name in fresh else "is stale")
    for step in ("render", "refuse_unfit", "check_pages"):
        monkeypatch.setattr(commands, step, lambda *_: None)
    book.executed.mkdir()
    for only, expected in ((None, ["02_two"]), (None, []), ("01_one", ["01_one"])):
        ran.clear()
        build(book, only=only)
        assert ran == expected
    ran.clear()
    build(book, force=True)
    assert ran == ["01_one", "02_two"]


def write_executed(book: Book, cells: list[Any]) -> Chapter:
    """Write cells as the executed notebook of chapter 01_one, up to date."""
    (chapter,) = chapters(book)
    text = nbformat.writes(nbformat.v4.new_notebook(cells=cells))
    book.executed.mkdir(parents=True, exist_ok=True)
    executed_file(book, "01_one").write_text(text)
    sums = {
        "source_sha256": chapter.source_hash,
        "executed_sha256": hashlib.sha256(text.encode()).hexdigest(),
    }
    manifest_file(book, "01_one").write_text(json.dumps({"profile": "smoke", **sums}))
    return chapter


PICTURE = nbformat.v4.new_output("display_data", data={"image/png": "AAAA"})
DESCRIBED = {"caption": "A cat on a mat.", "name": "fig-cat"}
FAILURE = nbformat.v4.new_output("error", ename="ValueError", evalue="no", traceback=[])


@pytest.mark.parametrize(
    ("count", "outputs", "metadata", "said"),
    [
        (None, [], {}, "has missing outputs: nothing was executed in the cell that begins 'plot"),
        (1, [FAILURE], {}, "has an error output, ValueError, in the cell"),
        (1, [PICTURE], {}, "shows an image without alt text"),
        (1, [PICTURE], {"mystnb": {"image": {"alt": "  "}, "figure": DESCRIBED}}, "shows an image without alt text"),
        (1, [PICTURE], {"mystnb": {"image": {"alt": "A cat"}}}, "shows an image without a caption"),
        (1, [PICTURE], {"mystnb": {"image": {"alt": "A cat"}, "figure": {"caption": "Cat"}}}, "image without a name"),
        (1, [PICTURE], {"mystnb": {"image": {"alt": "A cat"}, "figure": DESCRIBED}}, None),
        (1, [], {}, None),
    ],
)
def test_what_keeps_an_executed_notebook_from_being_rendered(
    book: Book, count: int | None, outputs: list[Any], metadata: dict[str, Any], said: str | None
) -> None:
    cell = nbformat.v4.new_code_cell("plot()\n", execution_count=count, outputs=outputs, metadata=metadata)
    chapter = write_executed(book, [cell, nbformat.v4.new_code_cell("")])
    if said is None:
        refuse_unfit([chapter], book)
    else:
        with pytest.raises(BookError, match=said):
            refuse_unfit([chapter], book)


def test_a_chapter_that_was_never_executed_is_refused(book: Book) -> None:
    with pytest.raises(BookError, match=r"01_one has not been executed: run .*--only 01_one"):
        refuse_unfit(chapters(book), book)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a:  50%|#####     | 1/2 [00:01<00:01, 1.0it/s]\ra: 100%|#####| 2/2 [00:02<00:00, 1.0it/s]\n", None),
        ("5it [00:00, 9.1it/s]\n", None),
        ("Fitting [32/32] 100%|███ [time left: 00:00, time spent: 00:21]\n", None),
        ("\rbar: 0%| | 0/9 [1:00:00<?, ?it/s]\nwarning: kept\n", "warning: kept"),
        (f"{Plan(1200, 480, 2**30, 2**34)}\nscores: 100%|#| 9/9 [0:09<0:00]\n", None),
        ("plain\n\n  text [12:30]\n", "plain\n\n  text [12:30]\n"),
    ],
)
def test_progress_bars_leave_the_outputs_and_nothing_else_does(text: str, kept: str | None) -> None:
    output = nbformat.v4.new_output("stream", name="stderr", text=text)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x", outputs=[output])])
    assert [output.text for output in tidy(notebook).cells[0].outputs] == ([] if kept is None else [kept])


def test_make_lists_its_targets() -> None:
    root = Path(__file__).resolve().parents[2]
    listed = subprocess.run(["make", "-s", "-C", str(root)], capture_output=True, text=True, check=True).stdout
    for target in ("setup", "book", "test", "lint", "serve", "wheels", "clean", "lock", "help"):
        assert f"make {target} " in listed
