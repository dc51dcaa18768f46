from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from influence_lib.data import load
from influence_lib.errors import InputError
from influence_lib.pretrain import both_accuracies, build_encoder, embed, knn_accuracy, linear_accuracy
from tests.images import noise_images, two_colours


class Projection(nn.Module):
    """A fixed random map of the pixels."""

    def __init__(self, dims: int = 6):
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(3 * 8 * 8, dims)

    def forward(self, x):
        return self.linear(x.flatten(1))


def weighted_knn(train, labels, test, k, temperature=0.07):
    """Return the predictions of solo-learn's weighted kNN, in plain torch."""
    similarity = F.normalize(test, dim=1) @ F.normalize(train, dim=1).T
    top, index = similarity.topk(k, dim=1)
    votes = torch.zeros(len(test), int(labels.max()) + 1)
    votes.scatter_add_(1, labels[index], (top / temperature).exp())
    return votes.argmax(dim=1)


@pytest.mark.parametrize("k", [1, 5, 20])
def test_knn_is_the_weighted_vote(k):
    train, test = noise_images(60), noise_images(40, seed=1)
    encoder = Projection()
    predicted = weighted_knn(embed(encoder, train), train.labels, embed(encoder, test), k)
    expected = (predicted == test.labels).float().mean().item()
    assert knn_accuracy(encoder, train, test, k=k).value == pytest.approx(expected)


def test_linear_separates_what_is_linearly_separable():
    train, test = two_colours(80), two_colours(40, seed=1)
    assert linear_accuracy(Projection(), train, test).value > 0.95
    shuffled = noise_images(80)
    assert linear_accuracy(Projection(), shuffled, noise_images(200, seed=1)).value == pytest.approx(0.5, abs=0.12)


def test_both_accuracies_are_those_of_one_pass(monkeypatch):
    train, test = load("controlled", n=40), load("controlled", split="test", n=40)
    encoder = build_encoder(2)
    alone = {"knn": knn_accuracy(encoder, train, test), "linear": linear_accuracy(encoder, train, test)}
    passes = []
    monkeypatch.setattr("influence_lib.pretrain.evaluate.embed", lambda *a, **k: passes.append(a) or embed(*a, **k))
    assert both_accuracies(encoder, train, test) == alone
    assert [len(images) for _, images in passes] == [40, 40]


def test_embedding_is_in_eval_mode_and_leaves_the_mode():
    encoder = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten()).train()
    images = noise_images(7)
    features = embed(encoder, images, batch_size=3)
    torch.testing.assert_close(features, images.images.float().div(255).flatten(1) / np.sqrt(1 + 1e-5))
    assert encoder.training
    assert encoder[0].num_batches_tracked == 0


MEASURES = [knn_accuracy, linear_accuracy, both_accuracies]


def with_classes(images, *names):
    return replace(images, class_names=names)


def with_labels(images, labels):
    return replace(images, labels=torch.as_tensor(labels))


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("name", ["train", "test"])
@pytest.mark.parametrize("unlabelled", [1, 10])
def test_accuracy_needs_labels(measure, name, unlabelled):
    sets = {"train": noise_images(10), "test": noise_images(10, seed=1)}
    sets[name] = with_labels(sets[name], [-1] * unlabelled + [0] * (10 - unlabelled))
    with pytest.raises(InputError, match=f"{unlabelled} of the 10 images of {name} have no label"):
        measure(Projection(), **sets)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize(
    ("names", "difference"),
    [
        (("odd", "even"), "class 0 is 'even' and 'odd'"),
        (("even", "other"), "class 1 is 'odd' and 'other'"),
        (("even", "odd", "more"), "2 and 3 classes"),
    ],
)
def test_accuracy_needs_the_same_classes(measure, names, difference):
    with pytest.raises(InputError, match=f"train and test have other classes \\({difference}\\)"):
        measure(Projection(), noise_images(10), with_classes(noise_images(10, seed=1), *names))


@pytest.mark.parametrize("measure", MEASURES)
def test_accuracy_needs_images(measure):
    images = noise_images(10)
    with pytest.raises(InputError, match="number of images in test is 0, but it must be 1 or more"):
        measure(Projection(), images, images.subset([]))
    with pytest.raises(InputError, match="train is 'str', but it must be an ImageSet"):
        measure(Projection(), "cifar10", images)


def test_a_linear_classifier_needs_two_classes():
    images = noise_images(10)
    evens = images.subset(images.labels == 0)
    with pytest.raises(InputError, match="all images of train are of class 'even'"):
        linear_accuracy(Projection(), evens, images)
    assert knn_accuracy(Projection(), evens, images).value == 0.5


def test_integers_of_numpy_and_torch_are_integers():
    images = noise_images(10)
    expected = knn_accuracy(Projection(), images, images, k=3)
    assert knn_accuracy(Projection(), images, images, k=np.int64(3)) == expected
    assert knn_accuracy(Projection(), images, images, k=torch.tensor(3)) == expected
    assert torch.equal(embed(Projection(), images, batch_size=np.int32(10)), embed(Projection(), images))


@pytest.mark.parametrize("value", [0, -1, 2.0, "3", None, True, float("nan")])
def test_other_values_are_named(value):
    images = noise_images(4)
    with pytest.raises(InputError, match=r"k is .*, but it must be a whole number above 0"):
        knn_accuracy(Projection(), images, images, k=value)
    with pytest.raises(InputError, match=r"batch_size is .*, but it must be a whole number above 0"):
        embed(Projection(), images, batch_size=value)


@pytest.mark.parametrize("measure", MEASURES)
def test_a_representation_that_is_not_finite_names_the_first_image(measure):
    class Broken(Projection):
        def forward(self, x):
            return super().forward(x) / (x.flatten(1)[:, :1] != x.flatten(1)[:1, :1])

    images = noise_images(4)
    with pytest.raises(FloatingPointError, match="representations of 1 images are not finite, the first of them id 5"):
        measure(Broken(), images, images)
