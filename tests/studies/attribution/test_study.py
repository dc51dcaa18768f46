"""One question to many methods: what is stored, what is judged, and the sentences about it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from influence_lib.errors import InputError
from influence_lib.estimate import Estimate
from influence_lib.influence import GaussianNoise
from influence_lib.pretrain import build_encoder
from influence_lib.studies import attribution
from influence_lib.studies.attribution import (
    CLASSIFIER,
    Counterfactual,
    Found,
    Halves,
    Question,
    Way,
    attribute,
    lds,
    lds_in_words,
    missing_in_words,
    signed_and_sparse,
    strongest,
    supports_in_words,
)
from influence_lib.studies.fanout import run_all

with torch.random.fork_rng():
    torch.manual_seed(0)  # whatever was imported before; a support vector machine converges on these features
    ENCODERS = {"SimCLR": build_encoder(2).eval()}


@pytest.fixture
def question(recipe):
    return Question(Halves(recipe, 9, 3, 2), judged=4, asked=(0, 3), candidates=5, budget=1, trainings=1, dimension=8)


@pytest.mark.parametrize(
    ("way", "name"),
    [
        (Way("exemplar SVM", "SimCLR"), "exemplar SVM (SimCLR)"),
        (Way("Euclidean"), "Euclidean (pixels)"),
        (Way("TRAK", models=5), "TRAK (5 models)"),
        (Way("TRAK"), "TRAK"),
        (Way("Euclidean", "SimCLR", every_class=True), "Euclidean (SimCLR, all classes)"),
        (Way("random"), "random"),
    ],
)
def test_names(way, name):
    assert way.name == name


@pytest.mark.parametrize("way", [Way("Euclidean", "SimCLR"), Way("random"), Way("exemplar SVM", "SimCLR")])
def test_an_answer_is_the_methods_scores_summed_over_the_judged_halves_and_ranked(question, recipe, way):
    train, targets = recipe.images(), recipe.targets()
    answer = question.answer(way, ENCODERS)
    models = [ENCODERS["SimCLR"]] if way.by else []
    scores = attribute(way.method, models, train, targets)
    own = way.method == "exemplar SVM"
    among = attribute(way.method, models, train, targets, same_class=True) if own else scores
    if way.by:
        scores = signed_and_sparse(scores, train, targets)
    torch.testing.assert_close(answer.sums, question.halves.kept[5:].float() @ scores.T)
    expected = strongest(among[[0, 3]], train, targets.subset([0, 3]), 5)
    assert [tuple(row) for row in answer.ranked.tolist()] == expected
    assert answer.seconds > 0


def test_answers_are_stored_by_what_they_depend_on(question, monkeypatch):
    way = Way("Euclidean", "SimCLR")
    assert not question.is_answered(way, ENCODERS)
    first = question.answer(way, ENCODERS)
    assert question.is_answered(way, {"SimCLR": ENCODERS["SimCLR"], "other": build_encoder(2)})
    assert not question.is_answered(way, {"SimCLR": build_encoder(2)})
    assert not question.is_answered(replace(way, every_class=True), ENCODERS)
    assert not replace(question, candidates=4).is_answered(way, ENCODERS)
    monkeypatch.setattr(attribution.study, "attribute", None)
    assert torch.equal(question.answer(way, ENCODERS).sums, first.sums)


def test_two_view_influence_has_the_questions_noise_and_draws(question, recipe):
    way, train, targets = Way("two views", "SimCLR"), recipe.images(), recipe.targets()
    noisy = replace(question, noise=GaussianNoise(0.0, 0.5), draws=2)
    options = {"perturbation": GaussianNoise(0.0, 0.5), "draws": 2, "factor_pairs": 1000}
    expected = attribute("two views", [ENCODERS["SimCLR"]], train, targets, **options)
    torch.testing.assert_close(noisy.scores(way, ENCODERS), expected)
    assert not torch.allclose(question.scores(way, ENCODERS), expected)
    noisy.answer(way, ENCODERS)
    assert not question.is_answered(way, ENCODERS)


def test_storage_counts_weights_and_what_is_kept_of_each_image(question, recipe):
    one = sum(p.numel() for p in Counterfactual(recipe).model().parameters())
    assert question.answer(Way("random"), ENCODERS).stored_bytes == 0
    assert question.answer(Way("Euclidean", CLASSIFIER), ENCODERS).stored_bytes == 4 * one
    assert question.answer(Way("TRAK", models=2), ENCODERS).stored_bytes == 2 * 4 * (one + 60 * 8)
    assert question.answer(Way("Datamodels", models=5), ENCODERS).stored_bytes == 5 * 4 * one
    encoder = sum(p.numel() for p in ENCODERS["SimCLR"].parameters())
    assert question.answer(Way("Euclidean", "SimCLR"), ENCODERS).stored_bytes == 4 * encoder


def test_datamodels_do_not_see_the_halves_that_judge(question, monkeypatch):
    seen = []
    whole = attribution.methods.datamodels
    monkeypatch.setattr(
        attribution.methods, "datamodels", lambda kept, outputs: seen.append(kept) or whole(kept, outputs)
    )
    question.answer(Way("Datamodels", models=5), ENCODERS)
    assert torch.equal(seen[0], question.halves.kept[:5])
    with pytest.raises(
        InputError, match="models is 6, but it must be a whole number from 5 to the halves that are not"
    ):
        question.answer(Way("Datamodels", models=6), ENCODERS)


def test_the_table_is_lds_of_the_scores_and_ends_with_the_ceiling(question, recipe):
    answers = {way.name: question.answer(way, ENCODERS) for way in (Way("random"), Way("Euclidean"))}
    table = question.lds_table(answers)
    assert list(table.index) == ["random", "Euclidean (pixels)", "ceiling"]
    scores = attribute("random", [], recipe.images(), recipe.targets())
    outputs = question.halves.outputs()[5:]
    expected = lds(scores, question.halves.kept[5:], outputs)
    found = table.loc["random", "LDS"]
    assert (found.value, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high), abs=0.2)
    assert "ceiling" not in replace(question, halves=Halves(recipe, 9)).lds_table(answers).index


def test_supports_are_compared_where_every_ranking_is_searched(question):
    answers = {way.name: question.answer(way, ENCODERS) for way in (Way("random"), Way("Euclidean"))}
    searches = question.supports(answers, ("removal",))
    assert [(each.target, each.method) for each in searches] == [
        (0, "random"),
        (0, "Euclidean (pixels)"),
        (3, "random"),
        (3, "Euclidean (pixels)"),
    ]
    run_all(searches[:3], progress=False)
    assert {name: len(each) for name, each in question.found(answers, "removal").items()} == dict.fromkeys(answers, 1)
    assert missing_in_words(searches) == "1 of 4 trainings and searches are not done yet. "
    run_all(searches, progress=False)
    assert missing_in_words(searches) == ""
    assert question.found(answers, "removal")["random"][1] == searches[2].run()


def test_the_summary_holds_lds_seconds_and_what_was_turned(question):
    answers = {way.name: question.answer(way, ENCODERS) for way in (Way("random"), Way("Euclidean"))}
    rankings = {"random": answers["random"]}
    searches = question.supports(rankings, ("removal",))
    run_all(searches, progress=False)
    table = question.summary(answers, rankings, ("removal",)).set_index(["what", "way"])
    turned = [search.run().size is not None for search in searches]
    assert table.loc[("removal", "random"), "value"] == np.mean(turned)
    assert table.loc[("LDS", "random"), "value"] == question.lds_table(answers).loc["random", "LDS"].value
    assert table.loc[("seconds", "random"), "value"] == answers["random"].seconds
    assert np.isnan(table.loc[("seconds", "ceiling"), "value"])
    other = {**answers, "random": replace(answers["random"], sums=-answers["random"].sums)}
    flipped = question.summary(other, rankings, ("removal",)).set_index(["what", "way"])
    assert flipped.loc[("LDS", "random"), "value"] == pytest.approx(-table.loc[("LDS", "random"), "value"])
    more = replace(question, trainings=3)  # whose searches are others, none of which has been run
    with pytest.raises(InputError, match="the number"):
        more.summary(answers, rankings, ("removal",))
    assert len(table) == 2 * 3 + 1  # without TRAK nothing is compared with it
    with_trak = answers | {"TRAK": question.answer(Way("TRAK"), ENCODERS)}
    less = question.summary(with_trak, rankings, ("removal",)).set_index(["what", "way"]).loc["LDS less TRAK", "value"]
    values = question.lds_table(with_trak)["LDS"]
    assert less["random"] == pytest.approx(values["random"].value - values["TRAK"].value)
    assert set(less.index) == {"random", "Euclidean (pixels)"}


def test_pictures_begin_with_the_target_and_show_the_strongest(question, recipe):
    answers = {"random": question.answer(Way("random"), ENCODERS)}
    images, rows = question.pictures(answers, 1, most=3)
    assert torch.equal(images.images[rows["random"][0]], recipe.targets().images[3])
    ids = answers["random"].ranked[1][:3]
    expected = torch.cat([recipe.images().images[recipe.images().ids == each] for each in ids])
    assert torch.equal(images.images[rows["random"][1:]], expected)


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"judged": 2}, "judged is 2"), ({"judged": 10}, "judged is 10"), ({"asked": (-1,)}, "asked is -1")],
)
def test_wrong_questions_are_refused(question, changed, message):
    with pytest.raises(InputError, match=message):
        replace(question, **changed)


def test_an_encoder_that_is_not_there_is_refused(question):
    with pytest.raises(InputError, match="by is 'MoCo', but it must be"):
        question.answer(Way("cosine", "MoCo"), ENCODERS)


def test_sentences_name_the_best_and_what_is_clear():
    table = pd.DataFrame(
        {"LDS": [Estimate(0.1, -0.1, 0.2, 9, "t"), Estimate(0.3, 0.2, 0.4, 9, "t"), Estimate(0.8, 0.7, 0.9, 9, "t")]},
        index=["random", "TRAK", "ceiling"],
    )
    said = lds_in_words(table)
    assert said == (
        "By LDS TRAK comes first with 0.30 [0.20, 0.40], where no score can pass 0.80 [0.70, 0.90]."
        " Clearly above 0: TRAK."
    )
    few = [Found(size, 10, {}, 0.0) for size in (1, 1, 2, 0, 3, 1)] + [Found(None, 10, {}, np.nan)]
    many = [Found(size, 10, {}, 1.0) for size in (5, 6, 7, 8, 9, 9)] + [Found(None, 10, {}, np.nan)]
    assert supports_in_words({"one": few, "two": many}, "removal") == (
        "By removal of up to 10 images one turns 86% of 7 targets (1 wrong anyway), 86% (two)."
        " Its supports are smaller than by two (p = 0.031). Of all supports found, 50% turn fresh trainings."
    )
    assert "larger than by one (p = 0.031)" in supports_in_words({"two": many, "one": few}, "removal")
    assert ", the others from 86% (two) to 86% (same)." in supports_in_words(
        {"one": few, "two": many, "same": few}, "removal"
    )
    assert "clearly smaller or larger than none" in supports_in_words({"one": few, "same": few}, "removal")
    assert "No target has been searched by removal" in supports_in_words({"one": []}, "removal")
