"""What a page shows beside its outputs: the parameters that made it, and the bar of the profile smoke."""

import ast

import nbformat
import pytest

from influence_lib.book.chapters import Chapter
from influence_lib.book.shown import BAR, show_parameters, warn_of_smoke, with_values

SOURCE = """\
dataset: str = "controlled"  # which images; epochs = 3 is no assignment
epochs: int = 2  # passes – over the images
rate = 0.1
names: list = [
    "a",
    "b",
]  # two lines
"""


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"epochs": 60},
        {"dataset": "cifar10", "rate": 1e-05, "epochs": -1},
        {"names": ["x"], "epochs": None},
        {"dataset": 'a "quoted" \\ name'},
        {"dataset": "Bäume"},
        {"unknown": 1},
    ],
)
def test_the_values_are_those_given_and_the_rest_stays(changed):
    shown = with_values(SOURCE, changed)
    found, expected = {}, {}
    exec(shown, {}, found)
    exec(SOURCE, {}, expected)
    assert found == expected | {name: value for name, value in changed.items() if name in expected}
    for comment in ("# which images; epochs = 3 is no assignment", "# passes – over the images", "# two lines"):
        assert comment in shown
    annotated = [node.target.id for node in ast.parse(shown).body if isinstance(node, ast.AnnAssign)]
    assert annotated == ["dataset", "epochs", "names"]


def test_the_parameters_cell_shows_what_made_the_page_and_the_injected_one_is_hidden():
    cells = [
        nbformat.v4.new_code_cell(SOURCE, metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell("# Parameters\nepochs = 60", metadata={"tags": ["injected-parameters"]}),
        nbformat.v4.new_code_cell("epochs = 2"),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    show_parameters(notebook, {"epochs": 60})
    assert "epochs: int = 60  # passes" in notebook.cells[0].source
    assert notebook.cells[1].metadata.tags == ["injected-parameters", "remove-cell"]
    assert notebook.cells[2].source == "epochs = 2"
    assert "tags" not in notebook.cells[2].metadata


def test_the_bar_stands_under_the_title():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Title\n\nText.")])
    warn_of_smoke(notebook)
    assert notebook.cells[0].source == f"# Title\n\n{BAR}\n\nText."


@pytest.mark.parametrize(
    ("profile", "defaults", "changed", "toy"),
    [
        ("smoke", {}, {}, True),
        ("cpu", {"dataset": "controlled"}, {"dataset": "cifar10"}, False),
        ("cpu", {"dataset": "controlled"}, {}, True),  # a study whose file is not there yet
        ("cpu", {"seed": 0}, {}, False),  # theory needs none
    ],
)
def test_a_page_of_toy_parameters_is_told_from_others(profile, defaults, changed, toy):
    assert Chapter("09_name", profile, nbformat.v4.new_notebook(), defaults, changed, "").toy is toy
