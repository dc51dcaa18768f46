import pytest

from influence_lib import store
from influence_lib.pretrain.classifiers import Schedule
from influence_lib.studies.attribution import ClassifierRecipe

RECIPE = ClassifierRecipe("controlled", 60, 1, width=2, schedule=Schedule(epochs=1, batch_size=10, precision="fp32"))


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """A recipe of seconds, whose results are kept in a folder of the test's own."""
    monkeypatch.setattr(store, "repository", lambda root=None: tmp_path)
    return RECIPE
