import pytest

from influence_lib import store
from influence_lib.errors import InputError
from influence_lib.notebook import AttributionParameters
from influence_lib.studies.attribution import CLASSIFIER, Way
from influence_lib.studies.fanout import run_all
from tests.notebook.test_settings import GIVEN as SHARED

GIVEN = SHARED | {
    "encoders": "simclr, untrained",
    "n": 60,
    "epochs": 1,
    "architecture": "resnet9",
    "classifier_width": 2,
    "classifier_epochs": 1,
    "classifier_batch": 10,
    "classifier_lr": 0.1,
    "targets_of_class": 2,
    "subsets": 25,
    "judged": 5,
    "repeated": 3,
    "times": 2,
    "models": 3,
    "dimension": 8,
    "asked": 4,
    "candidates": 4,
    "budget": 2,
    "trainings_a_test": 1,
    "changes": "removal",
    "planted_copies": 2,
    "planted_subsets": 3,
    "train": False,
}


def test_the_question_is_that_of_the_parameters():
    question = AttributionParameters.check(GIVEN).question()
    recipe = question.halves.recipe
    assert (recipe.dataset, recipe.n, recipe.width, recipe.schedule.batch_size) == ("controlled", 60, 2, 10)
    assert (question.halves.subsets, question.halves.repeated, question.halves.times, question.judged) == (25, 3, 2, 5)
    assert question.asked == (0, 5, 10, 15)  # of 20 targets, a class after the other
    assert (question.noise.std, question.draws) == (GIVEN["noise_std"], GIVEN["draws"])
    assert (question.candidates, question.budget, question.trainings, question.dimension) == (4, 2, 1, 8)


def test_every_encoder_every_count_of_models_and_the_controls_are_compared():
    settings = AttributionParameters.check(GIVEN)
    ways = settings.ways()
    assert {way.by for way in ways if way.method == "exemplar SVM"} == {"SimCLR", "untrained"}
    assert {way.by for way in ways if way.method == "Euclidean"} == {"SimCLR", "untrained", CLASSIFIER, ""}
    assert [way.models for way in ways if way.method == "Datamodels"] == [5, 10, 20]
    assert [way.models for way in ways if way.method == "TRAK"] == [1, 3]
    assert {"random", "same class"} <= {way.name for way in ways}
    assert settings.rankings()[0] == Way("exemplar SVM", "SimCLR")
    assert len({way.name for way in [*ways, *settings.rankings()]}) == len(set([*ways, *settings.rankings()]))


def test_nothing_is_computed_that_was_not_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "repository", lambda root=None: tmp_path)
    few = GIVEN | {"subsets": 8, "judged": 3, "repeated": 0, "encoders": "untrained", "models": 2}
    settings = AttributionParameters.check(few)
    with pytest.raises(
        InputError, match=r"train is False\. 8 of 8 trainings and searches are not done yet\. Run `python"
    ):
        settings.check_answered()
    AttributionParameters.check(few | {"train": True}).check_answered()
    run_all(settings.question().halves.trainings(), progress=False)
    settings.question().halves.logits()
    settings.planted().halves.logits()
    answers = settings.answers()
    assert set(answers) == {way.name for way in [*settings.ways(), *settings.rankings()]}
    settings.check_answered()


def test_copies_are_planted_among_drawn_images():
    question = AttributionParameters.check(GIVEN | {"n": 5000, "dimension": 1024}).planted()
    recipe = question.halves.recipe
    assert (recipe.dataset, len(recipe.images()), question.dimension) == ("controlled", 500 + 2 * 20, 500)
    assert (question.halves.subsets, question.judged) == (3, 3)
    names = [way.name for way in AttributionParameters.check(GIVEN).planted_ways()]
    assert names[2:4] == ["TRAK (3 models)", "EK-FAC (3 models)"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"architecture": "vgg"}, "architecture is 'vgg'"),
        ({"changes": "burning"}, "changes"),
        ({"subsets": 7}, "subsets is 7"),
        ({"models": 1}, "models is 1"),
        ({"classifier_lr": 0}, "classifier_lr is 0"),
        ({"asked": 0}, "asked is 0"),
    ],
)
def test_wrong_values_are_refused(changed, said):
    with pytest.raises(InputError, match=said):
        AttributionParameters.check(GIVEN | changed)
