"""Packages that are imported when used, and what is said where one is missing."""

import importlib.util
import subprocess
import sys
import textwrap
import tomllib

import pytest

from influence_lib import pretrain
from influence_lib.cli import main
from influence_lib.data import load
from influence_lib.errors import InputError
from influence_lib.optional import needed
from influence_lib.pretrain.methods import METHODS
from influence_lib.store import repository

PARTS = {
    "influence_lib.book": ("jupytext", "The book", "pip install '.[book]'"),
    "influence_lib.figures": ("matplotlib", "influence_lib.figures", "pip install matplotlib"),
    "influence_lib.figures.interactive": ("bokeh", "The map of images", "pip install bokeh ipython"),
    "influence_lib.notebook": ("pydantic", "A notebook", "pip install pydantic"),
    "influence_lib.influence.curvature.through_kronfluence": (
        "kronfluence",
        "curvature = 'kronfluence'",
        "pip install kronfluence==1.0.1",
    ),
}


@pytest.fixture
def no_solo_learn(monkeypatch):
    """Make solo-learn look as if it was not installed."""
    for loaded in [name for name in sys.modules if name.partition(".")[0] == "solo"]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, package=None: None)


def test_what_is_there_is_imported():
    with needed("This", "run nothing"):
        import json
    assert json.loads("1") == 1


@pytest.mark.parametrize("part", PARTS)
def test_a_part_without_its_package_is_one_sentence(part):
    package, what, command = PARTS[part]
    script = f"""
    import sys
    sys.modules[{package!r}] = None
    try:
        import {part}
    except ValueError as error:
        print(error)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"{what} needs {package}, which is not installed: run `{command}`")
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize("method", [name for name in METHODS if name != "supervised"])
def test_training_without_solo_learn_is_one_sentence_before_anything_is_trained(method, no_solo_learn, capsys):
    images = load("controlled", n=20)
    with pytest.raises(InputError, match=r"needs solo-learn, .* `pip install --no-deps solo-learn==1\.0\.2`\.$"):
        pretrain.pretrain(images, method=method, width=2, epochs=1, batch_size=10)
    assert not capsys.readouterr().err  # no bar


def test_the_supervised_control_needs_no_solo_learn(no_solo_learn):
    images = load("controlled", n=20)
    encoder = pretrain.pretrain(images, method="supervised", width=8, epochs=1, batch_size=10, progress=False)
    assert len(encoder.history) == 1


def test_training_without_kornia_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "kornia", None)
    images = load("controlled", n=20)
    with pytest.raises(InputError, match=r"^Training needs kornia, .*: run `pip install kornia`\.$"):
        pretrain.pretrain(images, method="supervised", width=8, epochs=1, batch_size=10, progress=False)


def test_the_audit_without_statsmodels_is_one_sentence(monkeypatch, capsys, tmp_path):
    for name in [name for name in sys.modules if name.startswith(("statsmodels", "influence_lib.studies.fairness"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "statsmodels", None)
    assert main(["fairness", str(tmp_path / "scores.csv"), "--score", "score", "--groups", "who"]) == 2
    assert capsys.readouterr().err == (
        "error: The audit needs statsmodels, which is not installed: run `pip install statsmodels`.\n"
    )


def test_the_library_imports_no_package_of_the_extras():
    script = """
    import sys
    from influence_lib import data, influence, pretrain, theory
    slow = ("kornia", "kronfluence", "solo", "matplotlib", "pydantic", "jupytext", "papermill")
    print([name for name in slow if name in sys.modules])
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_plain_install_pins_nothing_and_leaves_solo_learn_to_the_lock():
    root = repository()
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert not [each for each in project["dependencies"] if "==" in each or "solo" in each]
    extras = [each for extra in project["optional-dependencies"].values() for each in extra]
    assert not [each for each in extras if "solo" in each]
    locked = (root / "requirements.lock").read_text(encoding="utf-8").splitlines()
    assert {"solo-learn==1.0.2", "jupyterlab"} <= {
        line if "solo" in line else line.partition("=")[0] for line in locked
    }
