"""Runs that are killed, run twice at a time, or run out of room."""

import random
import resource
import subprocess
import sys
import time

import pytest
import torch

from influence_lib.errors import InputError
from influence_lib.pretrain import load_checkpoint, pretrain
from influence_lib.pretrain import loop as loop_module
from tests.images import noise_images

SETTINGS = {"width": 2, "batch_size": 8, "precision": "fp32", "device": "cpu", "progress": False}
HEAD = {"projector_hidden": 16, "projector_out": 8, "predictor_hidden": 16}
EPOCHS = 40
CHILD = f"""
import sys, time
from influence_lib.pretrain import loop, pretrain
from tests.images import noise_images
loop.SECONDS_BETWEEN_CHECKPOINTS = 0
pretrain(noise_images(33), method="byol", epochs={EPOCHS}, checkpoint=sys.argv[1], **{SETTINGS | HEAD!r})
"""


def train(checkpoint=None, **changed):
    return pretrain(noise_images(33), **{**SETTINGS, **HEAD, "method": "byol", "checkpoint": checkpoint, **changed})


def start(folder):
    return subprocess.Popen([sys.executable, "-W", "ignore", "-c", CHILD, str(folder)], stderr=subprocess.PIPE)


def same_weights(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def reached(folder):
    return max((int(p.name.removeprefix("epoch-")) for p in folder.glob("epoch-*")), default=0)


@pytest.fixture(scope="module")
def whole():
    return train(epochs=EPOCHS)


def test_a_run_killed_at_any_moment_ends_with_the_same_weights(tmp_path, whole):
    rng = random.Random(0)
    for target in (1, 9, 25):
        child = start(tmp_path)
        while reached(tmp_path) < target and child.poll() is None:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.3))
        child.kill()
        child.communicate()
        assert target <= reached(tmp_path) < EPOCHS
    resumed = train(tmp_path, epochs=EPOCHS)
    assert same_weights(resumed, whole)
    assert [h["loss"] for h in resumed.history] == [h["loss"] for h in whole.history]
    assert sorted(p.name for p in tmp_path.iterdir()) == [".lock", f"epoch-{EPOCHS:04d}"]


def test_two_processes_that_train_the_same_run_do_not_disturb_each_other(tmp_path, whole):
    children = [start(tmp_path) for _ in range(2)]
    errors = [child.communicate()[1] for child in children]
    assert [child.returncode for child in children] == [0, 0], errors
    assert same_weights(load_checkpoint(tmp_path), whole)
    assert [p.name for p in tmp_path.glob("epoch-*")] == [f"epoch-{EPOCHS:04d}"]


def test_a_full_disk_ends_with_a_sentence_and_keeps_the_last_state(tmp_path, monkeypatch):
    monkeypatch.setattr(loop_module, "SECONDS_BETWEEN_CHECKPOINTS", 0)
    train(tmp_path, epochs=3, stop_at=1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))  # a file may not grow beyond it, as on a full disk
    try:
        with pytest.raises(InputError, match=r"epoch-0002' cannot be written \(.*\): make room"):
            train(tmp_path, epochs=3)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert sorted(p.name for p in tmp_path.iterdir()) == [".lock", "epoch-0001"]
    assert same_weights(train(tmp_path, epochs=3), train(epochs=3))


def test_stopping_along_the_way_is_a_part_of_the_whole_run(tmp_path):
    whole = train(epochs=4)
    early = train(tmp_path, epochs=4, stop_at=2)
    assert early.history == [
        {**h, "images_per_second": e["images_per_second"]} for h, e in zip(whole.history, early.history, strict=False)
    ]
    assert same_weights(early, train(epochs=4, stop_at=2))
    assert not same_weights(early, train(epochs=2))  # whose schedule is another one
    assert same_weights(train(tmp_path, epochs=4), whole)


def test_a_checkpoint_beyond_the_stop_is_refused(tmp_path):
    train(tmp_path, epochs=3)
    with pytest.raises(InputError, match=r"stop_at is 2, but checkpoint .* has already reached epoch 3"):
        train(tmp_path, epochs=3, stop_at=2)
    with pytest.raises(InputError, match="stop_at is 4, but it must be a whole number from 1 to epochs, 3"):
        train(tmp_path, epochs=3, stop_at=4)
