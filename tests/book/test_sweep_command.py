import pytest

from influence_lib import store
from influence_lib.book.sweep_command import sweeps_of
from influence_lib.checkout import repository
from influence_lib.cli import main
from influence_lib.studies.removal import sweep as module


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Store in a folder, and have no more to train than four encoders."""
    monkeypatch.setattr(store, "repository", lambda root=None: tmp_path)
    one = sweeps_of(repository(), "smoke")[0][0]
    few = module.Sweep(one.recipe, one.arms[:2], 2, one.scored_by)
    monkeypatch.setattr("influence_lib.book.sweep_command.sweeps_of", lambda root, profile: ([few], "artifacts", "cpu"))
    module._rankings.cache_clear()
    yield tmp_path
    module._rankings.cache_clear()


def test_the_sweeps_of_a_profile_are_those_of_its_chapter():
    sweeps, place, device = sweeps_of(repository(), "cpu")
    assert [each.name for each in sweeps] == [
        "SimCLR",
        "supervised, ranked by SimCLR",
        "supervised",
        "SimCLR by tenths",
    ]
    assert {(each.recipe.dataset, each.recipe.n, each.recipe.width) for each in sweeps} == {("cifar10", 5000, 16)}
    assert (place, device) == ("results", "auto")


def test_status_trains_nothing(elsewhere, capsys):
    assert main(["sweep", "--status"]) == 0
    said = capsys.readouterr().out
    assert "4 trainings are left: about" in said
    assert store.entries(elsewhere) == []


def test_it_stops_in_time_and_goes_on(elsewhere, capsys):
    assert main(["sweep", "--minutes", "1e-9"]) == 0
    assert capsys.readouterr().out.endswith("4 trainings are left.\n")
    assert main(["sweep"]) == 0
    assert capsys.readouterr().out.endswith("Every training is done.\n")
    assert [entry.kind for entry in store.entries(elsewhere)] == ["retraining"] * 4
    assert main(["sweep", "--status"]) == 0
    assert "Every training is done." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--workers", "0"], "--workers is 0"),
        (["--minutes", "0"], "--minutes is 0"),
        (["--profile", "none"], "--profile is 'none'"),
    ],
)
def test_wrong_arguments_are_one_sentence(words, said, capsys):
    assert main(["sweep", *words]) == 2
    assert said in capsys.readouterr().err
