"""Fixtures for all tests."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import settings

# a busy machine is no failure, and a run finds what the one before it found
settings.register_profile("the same on any machine", deadline=None, derandomize=True)
settings.load_profile("the same on any machine")


if "PYTEST_XDIST_WORKER" in os.environ:
    # workers beside each other would wait for each other's threads; what they start computes as they do, bit for bit
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Let every test, with its fixtures, draw the same numbers whatever ran before it."""
    torch.manual_seed(0)


@pytest.fixture
def real_images() -> Callable[[str], Path]:
    """Return a function that gives the folder of the real image sets, or skips where it lacks the one named."""

    def find(name: str) -> Path:
        named = os.environ.get("INFLUENCE_DATA")
        if not named:
            pytest.skip("INFLUENCE_DATA is not set")
        if not any((Path(named) / name).glob("**/*.parquet")):
            pytest.skip(f"INFLUENCE_DATA holds no {name}")
        return Path(named)

    return find
