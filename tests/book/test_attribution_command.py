import pytest

from influence_lib import store
from influence_lib.book.attribution_command import settings_of
from influence_lib.checkout import repository
from influence_lib.cli import main


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Store in a folder, and ask as little as can be asked."""
    monkeypatch.setattr(store, "repository", lambda root=None: tmp_path)
    few = {"n": 60, "classifier_width": 2, "classifier_epochs": 1, "subsets": 8, "judged": 3, "repeated": 0}
    few |= {
        "planted_subsets": 3,
        "encoders": ("untrained",),
        "asked": 1,
        "budget": 1,
        "changes": ("removal",),
        "candidates": 4,
    }
    settings = settings_of(repository(), "smoke").model_copy(update=few)
    monkeypatch.setattr("influence_lib.book.attribution_command.settings_of", lambda root, profile: settings)
    return tmp_path


def test_the_question_of_a_profile_is_that_of_its_chapter():
    settings = settings_of(repository(), "smoke")
    assert (settings.place, settings.dataset, settings.train) == ("artifacts", "controlled", True)


def test_it_says_how_far_it_is_stops_in_time_and_goes_on(elsewhere, capsys):
    assert main(["attribution", "--status"]) == 0
    assert capsys.readouterr().out == (
        "11 of 11 trainings on halves are left; how long one takes is said once one is done.\n"
    )
    assert store.entries(elsewhere) == []
    assert main(["attribution", "--minutes", "1e-9"]) == 0
    assert capsys.readouterr().out.endswith("11 trainings on halves are left.\n")
    assert main(["attribution"]) == 0
    assert capsys.readouterr().out.endswith("Everything is done.\n")
    kinds = [entry.kind for entry in store.entries(elsewhere)]
    assert kinds.count("support") == 7
    assert main(["attribution", "--status"]) == 0
    assert "0 of 11 trainings on halves are left; then come the searches" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--workers", "0"], "--workers is 0"),
        (["--minutes", "0"], "--minutes is 0"),
        (["--profile", "none"], "--profile is"),
    ],
)
def test_wrong_arguments_are_one_sentence(words, said, capsys):
    assert main(["attribution", *words]) == 2
    assert capsys.readouterr().err.startswith(f"error: {said}")
