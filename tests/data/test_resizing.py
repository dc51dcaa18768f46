"""Resizing: against Pillow and torchvision, and the same under every processor's instructions."""

import os
import subprocess
import sys

import pytest
import torch
from torchvision.transforms.v2 import functional as F

from influence_lib.data.resizing import central_square, resized
from tests.images import noise_images

FINGERPRINT = """
import hashlib, torch
from influence_lib.data.resizing import resized
image = (torch.arange(3 * 50 * 41) * 7919 % 251).to(torch.uint8).view(3, 50, 41)
print(hashlib.sha256(resized(image, 32, 20).numpy().tobytes()).hexdigest())
"""


@pytest.mark.parametrize("size", [(5, 9), (16, 16), (40, 13)])
def test_pixels_are_torchvisions_but_for_rounding(size):
    image = noise_images(1, size=24).images[0]
    expected = F.resize(image.float(), list(size), antialias=True)
    found = resized(image, *size)
    assert found.dtype is torch.uint8
    assert (found.float() - expected).abs().max() <= 1  # whole numbers, rounded once along either side


def test_pixels_do_not_depend_on_the_processors_instructions():
    def printed(capability: str) -> str:
        environment = {**os.environ, "ATEN_CPU_CAPABILITY": capability}
        command = [sys.executable, "-c", FINGERPRINT]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    assert printed("default") == printed("avx2") != ""


def test_the_same_size_is_the_same_image():
    image = noise_images(1).images[0]
    assert resized(image, *image.shape[1:]) is image


@pytest.mark.parametrize(("height", "width"), [(9, 9), (9, 12), (12, 9), (8, 13), (13, 8)])
def test_the_square_is_torchvisions(height, width):
    image = torch.arange(3 * height * width).view(3, height, width)
    torch.testing.assert_close(central_square(image), F.center_crop(image, [min(height, width)]))
