"""Execute a chapter with papermill and write it, tidied, with a manifest beside it."""

import hashlib
import json
import os
import platform
import re
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import nbformat
import papermill
from filelock import FileLock
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError

from influence_lib import __version__
from influence_lib.atomic import written_whole
from influence_lib.book.chapters import Chapter
from influence_lib.book.layout import Book, BookError
from influence_lib.book.shown import show_parameters, warn_of_smoke
from influence_lib.checkout import git_state
from influence_lib.errors import check_integer

__all__ = ["execute", "execute_all", "executed_file", "manifest_file", "tidy"]

CELL_SECONDS = 3600  # papermill has no limit of its own: a cell that hangs would hold the build for ever
# pictures are outlines, letters too, so that they look alike everywhere; what is made of dots within them has 200 to
# the inch, two for each of a usual screen; without clocks and random ids
PICTURES = {
    "figure_formats": {"svg"},
    "print_figure_kwargs": {"bbox_inches": "tight", "dpi": 200, "metadata": {"Date": None}},
    "rc": {"svg.fonttype": "path", "svg.hashsalt": "book"},
}
REPORTED = ("torch", "torchvision", "kronfluence", "solo-learn", "kornia", "numpy", "scipy", "matplotlib")
# a tqdm bar: its percentage and its rule, or its clock, as in 30%|███ [00:05<00:10, 3.2it/s]; and what
# `influence.cost.Plan` says before long passes
PROGRESS = re.compile(r"\d{1,3}%\||\[\d+:\d\d(:\d\d)?[<,]|^[\d,]+ pairs of views: about ")
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def executed_file(book: Book, name: str) -> Path:
    """Return where the executed notebook of a chapter lies."""
    return book.executed / f"{name}.ipynb"


def manifest_file(book: Book, name: str) -> Path:
    """Return where the manifest of an executed notebook lies."""
    return book.executed / f"{name}.manifest.json"


def execute(chapter: Chapter, book: Book) -> None:
    """Run one chapter and write ``book/_executed/<name>.ipynb`` and ``<name>.manifest.json``.

    The kernel is that of the running interpreter, the working directory is the repository. Neither file is
    touched unless the whole notebook ran.

    Raises
    ------
    BookError
        If a cell raises, exceeds the time limit, the kernel dies, or the page cannot be written.
    """
    started = time.perf_counter()
    notebook = tidy(_run(chapter, book))
    show_parameters(notebook, chapter.changed)
    if chapter.toy:
        warn_of_smoke(notebook)
    manifest = _manifest(chapter, book)
    notebook.cells.append(_footer(manifest, chapter))
    text = nbformat.writes(notebook) + "\n"
    nbformat.validate(notebook)
    manifest |= {
        "executed_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "seconds": round(time.perf_counter() - started, 1),
    }
    try:
        book.executed.mkdir(parents=True, exist_ok=True)
        with FileLock(book.executed / ".lock"):
            # the manifest comes last and names the notebook's checksum: between the two the page counts as stale
            _replace(executed_file(book, chapter.name), text)
            _replace(manifest_file(book, chapter.name), json.dumps(manifest, indent=1) + "\n")
    except OSError as error:
        raise BookError(f"{executed_file(book, chapter.name)} cannot be written ({error}): make room.") from error


def execute_all(chapters: Sequence[Chapter], book: Book, workers: int = 1) -> None:
    """Run some chapters, several at a time, each in a process of its own with its share of the cores.

    Parameters
    ----------
    chapters : sequence of Chapter
        In the order in which they are begun.
    book : Book
        Where they lie.
    workers : int
        Chapters at a time.

    Raises
    ------
    InputError
        If `workers` is no number.
    BookError
        Of the first that fails; none is begun after that.
    """
    workers = min(check_integer("--workers", workers), len(chapters))
    if workers < 2:
        for chapter in chapters:
            _announced(chapter, book)
        return
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _share_cores, (workers,))
    try:
        for done in as_completed([pool.submit(_announced, chapter, book) for chapter in chapters]):
            done.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _share_cores(workers: int) -> None:
    """Let the kernels of this process take their part of the cores: those that want the same wait for each other."""
    os.environ["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // workers))


def _announced(chapter: Chapter, book: Book) -> None:
    sys.stdout.write(f"{chapter.name}: executing with the profile {chapter.profile}\n")
    sys.stdout.flush()
    execute(chapter, book)


def _replace(file: Path, text: str) -> None:
    with written_whole(file) as partial:
        partial.write_text(text, encoding="utf-8")


def _run(chapter: Chapter, book: Book) -> NotebookNode:
    """Return the notebook with its outputs."""
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"  # this environment's kernel, whatever the user has installed
    where = f"notebooks/{chapter.name}.md"
    try:
        return papermill.execute_notebook(
            chapter.notebook,
            None,
            parameters=chapter.changed,
            kernel_name="python3",
            cwd=book.root,
            execution_timeout=CELL_SECONDS,
            coalesce_streams=True,
            stdout_file=sys.stdout,
            stderr_file=sys.stderr,
            extra_arguments=[
                "--IPKernelApp.log_level=CRITICAL",  # else it reports that it is asked to stop
                *(f"--InlineBackend.{name}={value!r}" for name, value in PICTURES.items()),
            ],
        )
    except PapermillExecutionError as error:
        if error.ename == "InputError":  # one sentence, to which a traceback would add nothing
            raise BookError(f"{where} with the profile {chapter.profile}: {error.evalue}") from None
        sys.stderr.write("\n".join(error.traceback) + "\n")
        raise BookError(f"{where} failed in cell [{error.exec_count}]: {error.ename}: {error.evalue}") from None
    except CellTimeoutError:
        raise BookError(f"{where} failed: a cell took longer than {CELL_SECONDS} seconds.") from None
    except DeadKernelError:
        raise BookError(f"{where} failed: its kernel died, perhaps because memory ran out.") from None


def tidy(notebook: NotebookNode) -> NotebookNode:
    """Return the notebook without what changes from run to run: clocks, random ids, progress."""
    notebook.metadata.pop("papermill", None)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:03d}"
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in map(_without_progress, cell.outputs) if output is not None]
    return notebook


def _without_progress(output: NotebookNode) -> NotebookNode | None:
    """Return an output without progress, or None where nothing else was in it."""
    if output.output_type != "stream":
        return output
    lines = re.split(r"\r\n|[\r\n]", ANSI.sub("", output.text))
    kept = [line for line in lines if not PROGRESS.search(line)]
    if len(kept) < len(lines):  # what surrounded the bars is blank
        kept = [line for line in kept if line.strip()]
    text = "\n".join(kept)
    return NotebookNode(output, text=text) if text.strip() else None


def _manifest(chapter: Chapter, book: Book) -> dict[str, Any]:
    """Return what made the page, without anything that depends on the run's duration."""
    # imported here because it imports torch, which the rest of the book does not need
    from influence_lib.device import machine

    parameters = chapter.parameters
    return {
        "notebook": f"notebooks/{chapter.name}.md",
        "profile": chapter.profile,
        "parameters": parameters,
        "changed": chapter.changed,
        "source_sha256": chapter.source_hash,
        "influence_lib": __version__,
        **git_state(book.root),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in REPORTED},
        "device": machine(parameters.get("device", "auto")),
        "seed": parameters.get("seed"),
        "dataset": parameters.get("dataset"),
    }


def _footer(manifest: dict[str, Any], chapter: Chapter) -> NotebookNode:
    """Return the last cell of a page, which says what made it."""
    commit = "not under version control"
    if manifest["commit"]:
        commit = f"`{manifest['commit'][:12]}`" + (" with uncommitted changes" if manifest["dirty"] else "")
    changed = ", ".join(f"`{name} = {value!r}`" for name, value in manifest["changed"].items())
    lines = {
        "Source": f"`{manifest['notebook']}`",
        "Profile": f"`{manifest['profile']}`",
        "Parameters that differ from the notebook's defaults": changed or "none",
        "Data": f"`{manifest['dataset']}`" if manifest["dataset"] is not None else None,
        "Device": manifest["device"],
        "Commit": f"{commit}, influence_lib {manifest['influence_lib']}",
        "Versions": ", ".join(f"{name} {number}" for name, number in manifest["versions"].items()),
    }
    items = "\n".join(f"- {label}: {value}" for label, value in lines.items() if value is not None)
    source = f"```{{admonition}} What made this page\n:class: note what-made-this-page\n\n{items}\n```"
    cell = nbformat.v4.new_markdown_cell(source)
    cell.id = f"cell-{len(chapter.notebook.cells):03d}-footer"
    return cell
