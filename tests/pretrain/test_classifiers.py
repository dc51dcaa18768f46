"""Classifiers: shapes and sizes of the papers' networks, the schedule, determinism, learning, and what is refused."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from influence_lib.errors import InputError
from influence_lib.pretrain import classifiers
from influence_lib.pretrain.classifiers import ARCHITECTURES, Schedule, build_classifier, train_classifier
from tests import images as made
from tests.images import noise_images

two_colours = partial(made.two_colours, size=16)
FAST = Schedule(epochs=4, batch_size=20, lr=0.1, precision="fp32")


def accuracy(model, images):
    with torch.no_grad():
        return float((model(images.images.float() / 255).argmax(1) == images.labels).double().mean())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("size", [32, 48])
def test_a_classifier_gives_a_logit_for_each_class_of_images_of_any_size(architecture, size):
    model = build_classifier(architecture, width=16, n_classes=7).eval()
    assert model(torch.rand(2, 3, size, size)).shape == (2, 7)
    features = model.features(torch.rand(2, 3, size, size))
    assert features.shape == (2, model.head[-1].in_features if architecture == "mobilenetv2" else 32)


def test_resnet9_of_full_width_is_the_network_of_the_papers():
    """Counted by hand from torchskeleton's dawnbench network, and 1.75 GFLOP a training image."""
    model = build_classifier(width=64, n_classes=10)
    kernels = [3 * 64 * 9, 64 * 128 * 25, 2 * 128 * 128 * 9, 128 * 256 * 9, 2 * 256 * 256 * 9, 256 * 128 * 9]
    norms = 2 * (64 + 128 + 2 * 128 + 256 + 2 * 256 + 128)
    assert sum(p.numel() for p in model.parameters()) == sum(kernels) + norms + 128 * 10
    shapes = []
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(lambda layer, _, out: shapes.append((layer, out.shape[2] * out.shape[3])))
    model.eval()(torch.rand(1, 3, 32, 32))
    products = sum(layer.weight.numel() * positions for layer, positions in shapes)
    assert 3 * 2 * products == pytest.approx(1.75e9, rel=0.05)  # forward, and twice that backward


def test_the_rate_grows_over_five_of_24_epochs_and_falls_to_nearly_nothing():
    schedule = Schedule(24, 10, 0.5)
    rates = [schedule.rate(step, 240) for step in range(240)]
    assert max(rates) == pytest.approx(0.5, rel=0.02)
    assert rates.index(max(rates)) in (49, 50)
    assert rates[0] == pytest.approx(0.01)
    assert 0 < rates[-1] < 0.01
    assert rates[:50] == sorted(rates[:50])
    assert rates[50:] == sorted(rates[50:], reverse=True)


def test_it_learns_two_colours_and_the_seed_alone_decides():
    images = two_colours(200)
    first, again, other = (train_classifier(images, width=4, schedule=FAST, seed=seed) for seed in (0, 0, 1))
    assert accuracy(first, two_colours(100, seed=1)) > 0.95
    same = zip(first.state_dict().values(), again.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in same)
    assert not torch.equal(next(first.parameters()), next(other.parameters()))
    assert not first.training


def test_nothing_drawn_outside_is_touched():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train_classifier(two_colours(40), width=2, schedule=replace(FAST, epochs=1))
    assert torch.equal(torch.rand(3), expected)


def test_augmentation_moves_mirrors_and_cuts_each_image_by_its_own_draw():
    """A ramp tells where each pixel came from; the mean is a value that no pixel has."""
    ramp = torch.arange(1, 1025).view(1, 1, 32, 32).expand(200, 3, 32, 32).float()
    mean = torch.full((1, 3, 1, 1), -1.0)
    seen = classifiers._augmented(ramp.clone(), mean, torch.Generator().manual_seed(0))
    cut = (seen[:, 0] == -1).sum((1, 2))
    assert cut.min() >= 64  # a square of 8, and up to two rows and columns that were moved in
    assert cut.max() <= 64 + 2 * 2 * 32
    assert len(cut.unique()) > 5
    steps = (seen[:, 0, 16, 1:] - seen[:, 0, 16, :-1]).median(dim=1).values
    assert set(steps.tolist()) == {1.0, -1.0}  # mirrored or not
    assert 60 < int((steps == 1).sum()) < 140
    assert torch.equal(seen[:, 0], seen[:, 2])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: build_classifier("resnet50"), "architecture is 'resnet50', but it must be"),
        (lambda: build_classifier(width=0), "width is 0"),
        (lambda: Schedule(epochs=0), "epochs is 0"),
        (lambda: Schedule(lr=0), "lr is 0"),
        (lambda: Schedule(precision="half"), "precision is 'half'"),
        (
            lambda: train_classifier(two_colours(10), schedule=FAST),
            "batch_size is 20, but it must be at most the number",
        ),
        (
            lambda: train_classifier(replace(two_colours(30), labels=torch.full((30,), -1)), schedule=FAST),
            "images has an image without a label",
        ),
        (lambda: train_classifier(two_colours(40), schedule=FAST, width=2, seed=-1), "seed is -1"),
        (
            lambda: train_classifier(noise_images(40), schedule=FAST),
            r"the size of images is \(8, 8\), but it must be at",
        ),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_a_loss_that_is_not_finite_is_an_error():
    with pytest.raises(FloatingPointError, match="the loss became"):
        train_classifier(two_colours(40), width=2, schedule=replace(FAST, lr=1e30))
