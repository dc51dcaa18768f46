"""What a page shows beside its outputs: the parameters that made it, and a bar where they are those of smoke."""

import ast
from collections.abc import Mapping
from typing import Any

from nbformat import NotebookNode

__all__ = ["show_parameters", "warn_of_smoke"]

BAR = """\
```{admonition} Made with the profile smoke
:class: warning made-with-smoke

Images drawn by code and tiny encoders: this page shows that everything runs, and its numbers mean little.
```"""


def show_parameters(notebook: NotebookNode, changed: Mapping[str, Any]) -> None:
    """Let the parameters cell show the values that made the page, and hide the cell with which papermill set them.

    Parameters
    ----------
    notebook : NotebookNode
        Executed; changed in place.
    changed : mapping of str to value
        What papermill was given.
    """
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        if "parameters" in tags:
            cell.source = with_values(cell.source, changed)
        if "injected-parameters" in tags:
            cell.metadata.tags = [*tags, "remove-cell"]


def with_values(source: str, changed: Mapping[str, Any]) -> str:
    """Return assignments with other values; types and comments stay.

    Examples
    --------
    >>> with_values("epochs: int = 2  # passes", {"epochs": 60})
    'epochs: int = 60  # passes'
    """
    lines = source.encode().splitlines(keepends=True)  # positions in the tree count bytes
    for statement in reversed(ast.parse(source).body):
        if not isinstance(statement, ast.Assign | ast.AnnAssign) or statement.value is None:
            continue
        target, value = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target, statement.value
        if not isinstance(target, ast.Name) or target.id not in changed:
            continue
        first, last = value.lineno - 1, (value.end_lineno or value.lineno) - 1
        before, after = lines[first][: value.col_offset], lines[last][value.end_col_offset :]
        lines[first : last + 1] = [before + _literal(changed[target.id]).encode() + after]
    return b"".join(lines).decode()


def _literal(value: Any) -> str:
    """Return a value as the notebooks write it."""
    return '"' + value + '"' if isinstance(value, str) and not set(value) & set('"\\\n') else repr(value)


def warn_of_smoke(notebook: NotebookNode) -> None:
    """Put a bar under the title of a page that is made with the parameters of the profile ``smoke``."""
    if notebook.cells and notebook.cells[0].cell_type == "markdown":
        title, _, rest = notebook.cells[0].source.partition("\n")
        notebook.cells[0].source = f"{title}\n\n{BAR}\n{rest}"
