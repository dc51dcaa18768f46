"""Fixtures for all tests."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("no deadline", deadline=None)  # a busy machine is no failure
settings.load_profile("no deadline")


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
