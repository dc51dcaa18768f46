"""Which executed notebooks may be rendered."""

import hashlib
import json
from collections.abc import Iterator

import nbformat
from nbformat import NotebookNode

from influence_lib.book.chapters import Chapter
from influence_lib.book.execute import executed_file, manifest_file
from influence_lib.book.layout import Book, BookError

__all__ = ["refuse_unfit", "stale"]

# what the metadata of a cell have to say of its image: the alt text, the caption, and a name by which to refer to it
SAID_OF_IMAGES = (("image", "alt", "alt text"), ("figure", "caption", "a caption"), ("figure", "name", "a name"))


def stale(chapter: Chapter, book: Book) -> str | None:
    """Return why a chapter has to be executed again, or None if its executed notebook is up to date."""
    notebook, manifest = executed_file(book, chapter.name), manifest_file(book, chapter.name)
    if not notebook.is_file() or not manifest.is_file():
        return "has not been executed"
    try:
        recorded = json.loads(manifest.read_text(encoding="utf-8"))
    except ValueError:
        return "has a manifest that cannot be read"
    if recorded.get("profile") != chapter.profile:
        return f"was executed with the profile {recorded.get('profile')!r}"
    if recorded.get("source_sha256") != chapter.source_hash:
        return "is stale: its text, its parameters, the library or requirements.lock changed since it ran"
    if recorded.get("executed_sha256") != hashlib.sha256(notebook.read_bytes()).hexdigest():
        return "is stale: its executed notebook was changed by hand"
    return None


def unfit(notebook: NotebookNode) -> Iterator[str]:
    """Yield what keeps an executed notebook from being rendered."""
    for cell in notebook.cells:
        if cell.cell_type != "code" or not cell.source.strip():
            continue
        where = f"in the cell that begins {cell.source.strip().splitlines()[0]!r}"
        if cell.execution_count is None:
            yield f"has missing outputs: nothing was executed {where}"
        for output in cell.outputs:
            if output.output_type == "error":
                yield f"has an error output, {output.ename}, {where}"
            elif any(mime.startswith("image/") for mime in output.get("data", {})):
                described = cell.metadata.get("mystnb", {})
                for part, key, said in SAID_OF_IMAGES:
                    if not str(described.get(part, {}).get(key, "")).strip():
                        yield f"shows an image without {said} (mystnb: {part}: {key}) {where}"


def refuse_unfit(chapters: list[Chapter], book: Book) -> None:
    """Raise if any chapter's executed notebook is stale, missing, failed, incomplete or with an image not described.

    Raises
    ------
    BookError
        One sentence for each reason, with the command that mends a stale one.
    """
    problems = []
    for chapter in chapters:
        reason = stale(chapter, book)
        if reason is not None:
            again = f"run `python -m influence_lib book --profile {chapter.profile} --only {chapter.name}`"
            problems.append(f"{chapter.name} {reason}: {again}, or leave --only out.")
            continue
        notebook = nbformat.read(executed_file(book, chapter.name), as_version=4)
        problems += [f"{chapter.name} {problem}." for problem in unfit(notebook)]
    if problems:
        raise BookError("The book is not rendered.\n" + "\n".join(problems))
