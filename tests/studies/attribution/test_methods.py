"""Attribution against closed forms, other implementations in float64, and constructed cases."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression
from sklearn.svm import LinearSVC
from torch import nn

from influence_lib.errors import InputError
from influence_lib.pretrain import build_encoder, embed
from influence_lib.pretrain.classifiers import build_classifier
from influence_lib.studies.attribution import (
    METHODS,
    Halves,
    attribute,
    between_directions,
    datamodels,
    euclidean,
    exemplar_distance,
    influence_function,
    signed_and_sparse,
    strongest,
    trak,
)
from tests.images import noise_images, two_colours

TRAIN, TARGETS = two_colours(30, size=16), two_colours(4, seed=7, size=16)


def small_classifier(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 2, 3, stride=4), nn.Tanh(), nn.Flatten(), nn.LazyLinear(2))


@pytest.fixture
def classifiers():
    models = [small_classifier(seed) for seed in (0, 1)]
    for model in models:
        model(torch.zeros(1, 3, *TRAIN.images.shape[2:]))
    return models


def test_distances_are_numpys():
    targets, images = torch.randn(3, 5), torch.randn(7, 5)
    expected = np.linalg.norm(targets.numpy()[:, None] - images.numpy()[None], axis=2)
    np.testing.assert_allclose(euclidean(targets, images), expected, rtol=1e-5)
    cosines = torch.nn.functional.cosine_similarity(targets[:, None].double(), images[None].double(), dim=2)
    torch.testing.assert_close(between_directions(targets, images), (2 - 2 * cosines).sqrt())


def test_an_exemplar_svm_is_the_released_codes():
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.standard_normal((40, 6)))
    targets = images[[3, 11]] + 0.01
    found = exemplar_distance(targets, images)  # a negative that shows the target is no nearer for it
    machine = LinearSVC(C=0.1, class_weight="balanced", tol=1e-9, max_iter=10**6)
    machine.fit(np.vstack([targets[1], images]), [1] + [0] * 40)
    np.testing.assert_allclose(1 - found[1], machine.decision_function(images), atol=1e-4)


def trak_by_hand(models, train, targets, projections):
    """TRAK in float64: Φ (ΦᵀΦ)⁻¹ φ(target), averaged over models, times the mean of 1 − p."""

    def rows(model, images):
        gradients, shares = [], []
        for pixels, label in zip(images.images.double() / 255, images.labels, strict=True):
            logits = model(pixels[None])[0]
            others = logits[torch.arange(len(logits)) != label]
            output = logits[label] - others.logsumexp(0)
            gradients.append(torch.cat([g.flatten() for g in torch.autograd.grad(output, model.parameters())]))
            shares.append(1 - torch.sigmoid(output).detach())
        return torch.stack(gradients), torch.stack(shares)

    total, weights = 0, 0
    for model, projection in zip(models, projections, strict=True):
        model = model.double()
        own, share = rows(model, train)
        asked, _ = rows(model, targets)
        phi, query = own @ projection.double(), asked @ projection.double()
        inverse = torch.linalg.inv(phi.T @ phi)
        total = total + query @ (inverse / inverse.abs().mean()) @ phi.T  # the package's scale, which ranks nothing
        weights = weights + share
    return total / len(models) * weights / len(models)


def test_trak_is_the_formula_in_float64(classifiers):
    from trak.projectors import BasicProjector, ProjectionType

    size = sum(p.numel() for p in classifiers[0].parameters())
    before = [value.clone() for value in classifiers[0].state_dict().values()]
    found = trak(classifiers, TRAIN, TARGETS, dimension=8, seed=4)
    assert all(torch.equal(a, b) for a, b in zip(before, classifiers[0].state_dict().values(), strict=True))
    projector = BasicProjector(size, 8, 4, ProjectionType.normal, torch.device("cpu"), 8)
    projections = [projector.project(torch.eye(size), model_id=model).clone() for model in (0, 1)]
    expected = trak_by_hand(classifiers, TRAIN, TARGETS, projections)
    assert found.shape == (4, 30)
    for row, other in zip(found.double(), expected.detach(), strict=True):
        assert np.corrcoef(row, other)[0, 1] > 0.9999


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"dimension": 31}, "dimension is 31, but it must be a whole number from 1 to the number of images, 30"),
        ({"models": []}, "the number of models is 0, but it must be at least 1"),
    ],
)
def test_trak_refuses_what_has_no_inverse(classifiers, asked, message):
    with pytest.raises(InputError, match=message):
        trak(**({"models": classifiers, "train": TRAIN, "targets": TARGETS} | asked))


def test_datamodels_find_the_images_that_the_margin_depends_on():
    rng = np.random.default_rng(0)
    kept = torch.from_numpy(rng.random((300, 40)) < 0.5)
    weights = torch.zeros(2, 40)
    weights[0, [3, 8]] = torch.tensor([2.0, -1.0])
    weights[1, 20] = 1.5
    outputs = kept.float() @ weights.T + 0.3 * torch.from_numpy(rng.standard_normal((300, 2))).float() + 5
    found = datamodels(kept, outputs)
    assert found.shape == (2, 40)
    assert set(found[0].abs().topk(2).indices.tolist()) == {3, 8}
    assert int(found[1].argmax()) == 20
    # least squares on the same trainings is the limit without a penalty
    free = LinearRegression().fit(kept[:240].numpy(), outputs[:240].numpy())
    np.testing.assert_allclose(found.abs().sum(1), np.abs(free.coef_ * (weights != 0).numpy()).sum(1), atol=0.5)
    noise = datamodels(kept, torch.from_numpy(rng.standard_normal((300, 1))).float())
    assert float(noise.abs().sum()) < 0.5
    assert not datamodels(kept, torch.ones(300, 1)).any()


def test_influence_functions_are_averaged_over_models_and_point_to_the_images_class(classifiers):
    each = [influence_function([model], TRAIN, TARGETS) for model in classifiers]
    both = influence_function(classifiers, TRAIN, TARGETS)
    torch.testing.assert_close(both, torch.stack(each).mean(0))
    same = TARGETS.labels[:, None] == TRAIN.labels[None]
    assert both[same].mean() > both[~same].mean()


@pytest.mark.parametrize("method", [name for name, each in METHODS.items() if each.needs != "halves"])
def test_every_method_gives_a_number_for_each_target_and_image(method, classifiers):
    models = {"encoder": [build_encoder(2).eval()], "classifiers": classifiers, "nothing": []}[METHODS[method].needs]
    options = {"dimension": 8} if method == "TRAK" else {}
    scores = attribute(method, models, TRAIN, TARGETS, **options)
    assert scores.shape == (4, 30)
    assert scores.dtype == torch.float32
    assert torch.isfinite(scores).all()
    assert torch.equal(scores, attribute(method, models, TRAIN, TARGETS, **options))


def test_datamodels_by_name_are_those_of_the_halves(recipe):
    halves = Halves(recipe, 6)
    scores = attribute("Datamodels", halves, recipe.images(), recipe.targets())
    torch.testing.assert_close(scores, datamodels(halves.kept, halves.outputs()))


@pytest.mark.parametrize("method", ["Euclidean", "cosine"])
def test_the_same_picture_is_nearest_by_pixels_features_and_representations(method):
    asked = TRAIN.subset([4, 9])
    for models in ([], [build_encoder(2).eval()], [build_classifier(width=2, n_classes=2).eval()]):
        scores = attribute(method, models, TRAIN, asked)
        torch.testing.assert_close(scores[[0, 1], [4, 9]], torch.zeros(2), atol=1e-3, rtol=0)
        assert (scores <= 0).all()
        assert float((scores < -1e-3).double().mean()) > 0.5


def test_a_classifiers_representation_is_what_its_last_layer_reads():
    model = build_classifier(width=2, n_classes=2).eval()
    with torch.no_grad():
        expected = euclidean(*(model.features(each.images.float() / 255) for each in (TARGETS, TRAIN)))
    torch.testing.assert_close(
        -attribute("Euclidean", [model], TRAIN, TARGETS).double(), expected, rtol=1e-5, atol=1e-6
    )


def test_an_exemplar_svm_of_the_same_class_has_no_other_negatives():
    encoder = build_encoder(2).eval()
    found = attribute("exemplar SVM", [encoder], TRAIN, TARGETS, same_class=True)
    for row, label in zip(range(4), TARGETS.labels, strict=True):
        own = TRAIN.labels == label
        alone = exemplar_distance(embed(encoder, TARGETS)[row : row + 1], embed(encoder, TRAIN)[own])[0]
        torch.testing.assert_close(-found[row, own].double(), alone, atol=1e-5, rtol=0)
        assert torch.isinf(found[row, ~own]).all()
    assert strongest(found, TRAIN, TARGETS)[0][0] in TRAIN.ids[TRAIN.labels == TARGETS.labels[0]]


def test_the_strongest_are_of_the_class_and_in_order():
    scores = torch.arange(30.0).expand(4, 30)
    same = strongest(scores, TRAIN, TARGETS, most=3)
    every = strongest(scores, TRAIN, TARGETS, most=3, same_class=False)
    assert every == [tuple(TRAIN.ids[[29, 28, 27]].tolist())] * 4
    for ids, label in zip(same, TARGETS.labels, strict=True):
        places = [int((TRAIN.ids == each).nonzero()) for each in ids]
        assert places == sorted(places, reverse=True)
        assert (TRAIN.labels[places] == label).all()
    assert [len(each) for each in strongest(scores, TRAIN, TARGETS)] == [15] * 4


def test_distances_become_signed_and_sparse_by_the_papers_rule():
    scores = -torch.tensor([[1.0, 2.0, 4.0, 0.5], [4.0, 4.0, 0.1, 5.0]])
    train = noise_images(4)  # classes 0, 1, 0, 1
    found = signed_and_sparse(scores, train, train.subset([0, 1]), kept=0.5)
    torch.testing.assert_close(
        found, torch.tensor([[1.0, 0, 0, -2.0], [-0.25, 0.25, -10.0, 0]]) * torch.tensor([[1.0] * 4, [1, 1, 1, 1]])
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: attribute("shapley", [], TRAIN, TARGETS), "method is 'shapley', but it must be one of"),
        (
            lambda: attribute("TRAK", [], TRAIN, TARGETS),
            "the number of models is 0, but it must be at least 1 for 'TRAK'",
        ),
        (lambda: attribute("EK-FAC", [], TRAIN, TARGETS), "at least 1 for 'EK-FAC'"),
        (lambda: attribute("two views", [], TRAIN, TARGETS), "it must be 1 for 'two views'"),
        (
            lambda: attribute("Datamodels", [], TRAIN, TARGETS),
            "models is 'list', but it must be Halves for 'Datamodels'",
        ),
        (
            lambda: attribute("cosine", [nn.Flatten(), nn.Flatten()], TRAIN, TARGETS),
            "is 2, but it must be 1 for 'cosine'",
        ),
        (
            lambda: attribute("random", [], TRAIN.subset(TRAIN.labels == 0), TARGETS),
            "targets has an image of the class 'blue', of which there is no training image",
        ),
        (lambda: attribute("random", [], TRAIN, TARGETS, same_class=True), "same_class is True, but it must be False"),
        (lambda: strongest(torch.zeros(4, 30), TRAIN, TARGETS, most=16), "most is 16, but it must be at most 15"),
        (lambda: strongest(torch.zeros(4, 29), TRAIN, TARGETS), r"the shape of scores is \(4, 29\)"),
        (lambda: strongest(torch.full((4, 30), torch.nan), TRAIN, TARGETS), "a value that is not a number"),
        (lambda: datamodels(torch.ones(4, 3) > 0, torch.ones(4, 1)), "the number of trainings is 4"),
        (lambda: datamodels(torch.ones(6, 3) > 0, torch.ones(5, 1)), "the number of rows of kept and outputs"),
        (lambda: exemplar_distance(torch.ones(1, 2), torch.ones(0, 2)), "the number of images is 0"),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_targets_without_a_name_for_their_class_are_named_by_number():
    nameless = replace(TRAIN, class_names=("red", ""))
    with pytest.raises(InputError, match="of the class ''"):
        attribute("random", [], nameless.subset(nameless.labels == 0), replace(TARGETS, class_names=("red", "")))
