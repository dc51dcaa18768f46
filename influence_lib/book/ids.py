"""A Sphinx extension that gives proofs, and the texts of statements and exercises, ids of their own.

sphinx-proof and sphinx-exercise name all of a page alike; here the proof of ``thm1`` is ``thm1-proof``.
"""

from docutils import nodes
from sphinx.application import Sphinx

__all__ = ["setup"]

SHARED = {
    "proof": "proof",
    "proof-content": "content",
    "exercise-content": "content",
    "solution-content": "content",
}
"""An id that many elements have → what it says of the statement, or the exercise, that it belongs to."""


def _own_ids(_app: Sphinx, document: nodes.document) -> None:
    """Name each after the labelled element that it lies in, or, of a proof, that it follows."""
    owner = "unlabelled"
    for node in document.findall(nodes.Element):
        if not SHARED.keys() & set(node["ids"]):
            continue
        (shared,) = node["ids"]
        if node.parent is not None and node.parent["ids"]:
            owner = node.parent["ids"][0]
        node["ids"] = [f"{owner}-{SHARED[shared]}"]


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.connect("doctree-read", _own_ids)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
