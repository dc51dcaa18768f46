"""What solo-learn's own classes return, computed once for all tests."""

import subprocess
import sys

import pytest


class Solo:
    """Runs `solo_reference`, which writes into a folder."""

    def __init__(self, folder):
        self.folder = folder

    def run(self, *options):
        command = [sys.executable, "-m", "tests.pretrain.solo_reference", str(self.folder), *map(str, options)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def solo(tmp_path_factory):
    reference = Solo(tmp_path_factory.mktemp("solo"))
    reference.run()
    return reference
