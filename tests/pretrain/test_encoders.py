import numpy as np
import pytest
import torch
from torchvision.models import resnet18

from influence_lib.errors import InputError
from influence_lib.pretrain import build_encoder
from influence_lib.pretrain.encoders import CIFAR_MEAN, CIFAR_STD, Encoder


def reference_backbone(padding: int) -> torch.nn.Module:
    """Return torchvision's ResNet-18 with the CIFAR stem, as solo-learn changes it."""
    model = resnet18()
    model.conv1 = torch.nn.Conv2d(3, 64, kernel_size=3, stride=1, padding=padding, bias=False)
    model.maxpool = model.fc = torch.nn.Identity()
    return model.eval()


@pytest.mark.parametrize("padding", [1, 2])
def test_width_64_is_torchvisions_resnet18_with_a_cifar_stem(padding):
    torch.manual_seed(0)
    reference = reference_backbone(padding)
    encoder = build_encoder(64, stem_padding=padding).eval()
    encoder.backbone.load_state_dict(reference.state_dict())
    x = torch.rand(2, 3, 32, 32)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (CIFAR_MEAN, CIFAR_STD))
    with torch.no_grad():
        torch.testing.assert_close(encoder(x), reference((x - mean) / std))


@pytest.mark.parametrize("width", [1, 3, 16])
def test_width_sets_the_representation_and_the_parameters(width):
    encoder = build_encoder(width)
    assert encoder(torch.rand(2, 3, 32, 32)).shape == (2, 8 * width)
    assert encoder.backbone.conv1.weight.shape == (width, 3, 3, 3)


def test_feature_maps_keep_their_size_through_the_stem():
    sizes = {}
    for padding in (1, 2):
        encoder = build_encoder(2, stem_padding=padding)
        sizes[padding] = encoder.backbone.conv1(torch.rand(1, 3, 32, 32)).shape[-1]
    assert sizes == {1: 32, 2: 34}


@pytest.mark.parametrize("width", [np.int64(2), torch.tensor(2)])
def test_settings_hold_plain_integers(width):
    assert {type(value) for value in build_encoder(width, np.int8(1)).settings.values()} == {int}


@pytest.mark.parametrize(("mean", "std"), [((0, 0), CIFAR_STD), (CIFAR_MEAN, (1, 1, 0)), (CIFAR_MEAN, (1, 1, "1"))])
def test_an_encoder_needs_a_normalisation(mean, std):
    with pytest.raises(InputError, match=r"(mean|std) is "):
        Encoder(build_encoder(1).backbone, mean, std)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((0,), "width is 0"),
        ((1.5,), "width is 1.5"),
        ((True,), "width is True"),
        (("8",), "width is '8'"),
        ((None,), "width is None"),
        ((8, 3), "stem_padding is 3"),
        ((8, 1.0), "stem_padding is 1.0"),
    ],
)
def test_bad_input_is_named(arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        build_encoder(*arguments)
