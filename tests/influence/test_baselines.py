import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.neighbors import NearestNeighbors
from torch import nn

from influence_lib.errors import InputError
from influence_lib.influence import raw_loss
from influence_lib.influence.baselines import embedding_norm, knn_distance, random_score, statistic_scores
from tests.images import noise_images

SCORES = {"embedding norm": (embedding_norm, {}), "kNN distance": (knn_distance, {"k": 3})}
both_scores = pytest.mark.parametrize(("score", "arguments"), SCORES.values(), ids=SCORES)


class FirstPixel(nn.Module):
    """Red, green and blue of the first pixel, divided by their largest if asked for, which fails on black."""

    def __init__(self, divided=False):
        super().__init__()
        self.divided = divided

    def forward(self, x):
        colour = x[:, :, 0, 0]
        return colour / colour.amax(dim=1, keepdim=True) if self.divided else colour


def coloured(*colours):
    """Return one image of each colour, with ids 5, 8, 11, …"""
    pixels = torch.tensor(colours, dtype=torch.uint8)[:, :, None, None].expand(-1, 3, 2, 2)
    return replace(noise_images(len(colours), size=2), images=pixels)


def representations(encoder, images):
    with torch.no_grad():
        return encoder(images.images.float() / 255)


def test_embedding_norm_is_the_length_of_the_representation(net, images):
    scores = embedding_norm(net, images, device="cpu", progress=False)
    torch.testing.assert_close(scores.values, representations(net, images).square().sum(1).sqrt())


@pytest.mark.parametrize("k", [1, 3, 11])
def test_knn_distance_equals_sklearn(net, images, k):
    search = NearestNeighbors(n_neighbors=k, metric="cosine").fit(representations(net, images).double().numpy())
    distances, _ = search.kneighbors()  # without an argument no point is its own neighbour
    scores = knn_distance(net, images, k=k, device="cpu", progress=False)
    torch.testing.assert_close(scores.values.double(), torch.from_numpy(distances.mean(1)), rtol=1e-4, atol=0)


@pytest.mark.parametrize("held", [1, 30, 100])
def test_scores_do_not_depend_on_chunks(net, images, held, monkeypatch):
    norms = embedding_norm(net, images, progress=False).values
    distances = knn_distance(net, images, k=3, progress=False).values
    monkeypatch.setattr("influence_lib.influence.neighbours.DISTANCES_AT_ONCE", held)
    torch.testing.assert_close(embedding_norm(net, images, progress=False).values, norms)
    torch.testing.assert_close(knn_distance(net, images, k=3, progress=False).values, distances, rtol=1e-4, atol=0)


def test_no_chunk_holds_more_than_its_share(monkeypatch):
    images = noise_images(60, size=2)
    shapes = []
    cdist = torch.cdist

    def recorded(left, right):
        shapes.append((len(left), len(right)))
        return cdist(left, right)

    monkeypatch.setattr("influence_lib.influence.neighbours.DISTANCES_AT_ONCE", 300)
    monkeypatch.setattr(torch, "cdist", recorded)
    knn_distance(FirstPixel(), images, k=2, progress=False)
    assert shapes == [(5, 60)] * 12
    shapes.clear()
    knn_distance(FirstPixel(), images, k=50, progress=False)  # 50 neighbours of 3 numbers outweigh 60 distances
    assert shapes == [(2, 60)] * 30


def test_duplicates_are_at_no_distance(net, images):
    pixels = images.images.clone()
    pixels[7] = pixels[9] = pixels[2]
    scores = knn_distance(net, replace(images, images=pixels), k=2, progress=False).values
    copies = torch.isin(torch.arange(12), torch.tensor([2, 7, 9]))
    assert (scores[copies] < 1e-11).all()
    assert (scores[~copies] > 1e-6).all()


def test_an_image_is_excluded_by_position_and_not_by_distance():
    red, orange, blue = (255, 0, 0), (255, 255, 0), (0, 0, 255)
    values = knn_distance(FirstPixel(), coloured(red, red, orange, blue), k=2, progress=False).values
    to_orange = 1 - 0.5**0.5
    torch.testing.assert_close(values, torch.tensor([to_orange / 2, to_orange / 2, to_orange, 1.0]))


def test_distances_of_near_duplicates_do_not_cancel():
    images = coloured((200, 100, 50), (201, 100, 50), (200, 100, 51), (0, 100, 250))
    unit = F.normalize(images.images[:, :, 0, 0].double(), dim=1)
    expected = (1 - unit @ unit.T).fill_diagonal_(2).amin(dim=1)
    scores = knn_distance(FirstPixel(), images, k=1, progress=False)
    assert expected.min() < 1e-5
    torch.testing.assert_close(scores.values.double(), expected, rtol=1e-3, atol=0)


def test_length_does_not_matter_for_the_distance_and_direction_not_for_the_norm():
    images = coloured((100, 50, 0), (200, 100, 0), (0, 100, 200))
    torch.testing.assert_close(
        knn_distance(FirstPixel(), images, k=1, progress=False).values, torch.tensor([0, 0, 0.8]), atol=1e-6, rtol=0
    )
    lengths = embedding_norm(FirstPixel(), images, progress=False).values
    torch.testing.assert_close(lengths, torch.tensor([12500.0, 50000.0, 50000.0]).sqrt() / 255)


def test_representations_without_direction_are_halfway_from_all_others():
    images = coloured((0, 0, 0), (0, 0, 0), (255, 0, 0), (0, 255, 0))
    nearest = knn_distance(FirstPixel(), images, k=1, progress=False).values
    torch.testing.assert_close(nearest, torch.tensor([0, 0, 0.5, 0.5]))
    everything = knn_distance(FirstPixel(), images, k=3, progress=False).values
    torch.testing.assert_close(everything, torch.tensor([1, 1, 2, 2]) / 3)


@both_scores
def test_scores_say_what_they_were_made_from(score, arguments, net, images):
    scores = score(net, images, progress=False, **arguments)
    name = "kNN distance" if score is knn_distance else "embedding norm"
    assert scores.settings == {"score": name, "data": images.describe(), **arguments}
    assert json.loads(json.dumps(scores.settings)) == scores.settings
    assert scores.by_draw.shape == (1, 12)
    assert scores.by_draw.dtype == torch.float32
    assert torch.equal(scores.ids, images.ids)
    assert scores.reliability is None


@both_scores
def test_the_model_and_its_mode_are_left_as_they_were(score, arguments, net, images):
    expected = score(net, images.subset(range(11, -1, -1)), progress=False, **arguments)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    net.train()
    in_eval = score(net, images, progress=False, **arguments)
    assert net.training
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    torch.testing.assert_close(in_eval.values, expected.values.flip(0))
    assert not in_eval.by_draw.requires_grad


@pytest.mark.parametrize("k", [0, -1, 12, 2.0, "3"])
def test_bad_k_is_named(net, images, k):
    with pytest.raises(InputError, match=rf"k is {k!r}, but it must be a whole number from 1 to 11"):
        knn_distance(net, images, k=k, progress=False)


@both_scores
def test_representations_that_are_not_finite_name_the_image(score, arguments):
    images = coloured((9, 9, 9), (0, 0, 0), (1, 2, 3), (0, 0, 0))
    with pytest.raises(FloatingPointError, match="2 images are not finite, the first of them id 8"):
        score(FirstPixel(divided=True), images, progress=False, **arguments)


@both_scores
def test_progress_is_shown_on_demand(score, arguments, images, capsys):
    score(FirstPixel(), images, progress=False, **arguments)
    assert capsys.readouterr().err == ""
    score(FirstPixel(), images, **arguments)
    shown = capsys.readouterr().err
    assert "representations" in shown
    assert ("neighbours" in shown) == (score is knn_distance)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"draws": 0}, "draws is 0"),
        ({"draws": 1.0}, "draws is 1.0"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": "0"}, "seed is '0'"),
    ],
)
def test_arguments_of_the_random_score_are_named(arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        random_score(noise_images(4), **arguments)


@pytest.mark.parametrize("k", [0, 4, 2.0, "2", True, None])
def test_the_number_of_neighbours_is_named(k):
    with pytest.raises(InputError, match="a whole number from 1 to 3, the number of other images") as error:
        knn_distance(nn.Flatten(), noise_images(4), k)
    assert f"k is {k!r}, " in str(error.value)


def test_integers_of_numpy_are_integers():
    images = noise_images(4)
    scores = knn_distance(nn.Flatten(), images, np.int64(2), progress=False)
    assert scores.settings == knn_distance(nn.Flatten(), images, 2, progress=False).settings
    assert type(scores.settings["k"]) is int
    assert type(random_score(images, np.int64(2)).settings["draws"]) is int


@pytest.mark.parametrize(
    "score",
    [
        random_score,
        statistic_scores,
        lambda images: raw_loss(nn.Flatten(), images),
        lambda images: embedding_norm(nn.Flatten(), images),
        lambda images: knn_distance(nn.Flatten(), images),
    ],
)
@pytest.mark.parametrize(("images", "found"), [("cifar10", "'str'"), (noise_images(4).subset([]), "0")])
def test_a_baseline_needs_images(score, images, found):
    with pytest.raises(InputError, match=f"images is {found}"):
        score(images)
