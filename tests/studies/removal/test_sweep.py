import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import influence_lib
from influence_lib import influence, store
from influence_lib.errors import InputError
from influence_lib.pretrain import Recipe
from influence_lib.studies.fanout import run_all
from influence_lib.studies.removal import COLUMNS, RANKINGS, Arm, Sweep, arms, planned, progress_text

RECIPE = Recipe("simclr", "controlled", n=60, width=2, epochs=1, batch_size=10, precision="fp32")
SWEEP = Sweep(RECIPE, (Arm(), Arm(0.2), Arm(0.2, "raw loss")), 2, RECIPE)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    from influence_lib.studies.removal import sweep

    sweep._rankings.cache_clear()
    monkeypatch.setattr(store, "repository", lambda root=None: tmp_path)
    yield tmp_path
    sweep._rankings.cache_clear()


def test_every_arm_has_every_seed_and_seeds_come_after_each_other(repository):
    tasks = SWEEP.retrainings()
    assert [(task.recipe.seed, task.arm) for task in tasks] == [(seed, arm) for seed in (0, 1) for arm in SWEEP.arms]
    assert {task.recipe.seed for task in tasks} == {0, 1}
    ranked = [task.left_out for task in tasks if task.arm.by]
    assert ranked[0] == ranked[1]  # one ranking for all trainings
    drawn = [task.left_out for task in tasks if task.arm.name == "random"]
    assert drawn[0] != drawn[1]  # random images are drawn anew


def test_rankings_are_those_of_the_scores(repository):
    every = replace(SWEEP, arms=arms(tuple(RANKINGS), (0.2,)))
    found, images = every.rankings(device="cpu"), RECIPE.images()
    assert list(found) == list(RANKINGS)
    encoder = RECIPE.encoder(progress=False)
    shared = {"perturbation": SWEEP.noise, "draws": 2, "progress": False}
    assert torch.equal(found["raw loss"].values, influence.raw_loss(encoder, images, **shared).values)
    two = influence.self_influence(encoder, images, views="two", **shared)
    torch.testing.assert_close(found["EK-FAC of two views"].values, two.values)
    assert torch.equal(
        found["JPEG size"].values, influence.statistic_scores(images, progress=False)["jpeg_bytes"].values
    )


def test_what_is_done_is_in_the_table_and_nothing_is_run_twice(repository):
    assert SWEEP.is_ranked() is False
    tasks = SWEEP.retrainings()
    assert SWEEP.is_ranked() is True
    assert SWEEP.table().empty
    assert list(SWEEP.table().columns)[:6] == list(COLUMNS)
    assert run_all(tasks[:3], progress=False) == []
    table = SWEEP.table()
    assert table["left out"].tolist() == ["nothing", "random", "highest by raw loss"]
    assert table["training"].tolist() == [0, 0, 0]
    made = {entry.folder: entry.created for entry in store.entries() if entry.kind == "retraining"}
    assert run_all(tasks, progress=False) == []
    assert len(SWEEP.table()) == 6
    after = {entry.folder: entry.created for entry in store.entries() if entry.kind == "retraining"}
    assert made.items() <= after.items()
    assert len(after) == 6


def test_no_training_is_begun_when_time_is_over(repository):
    left = run_all(SWEEP.retrainings(), minutes=1e-9, progress=False)
    assert len(left) == 6
    assert SWEEP.table().empty


def test_one_training_of_two_sweeps_is_run_once(repository):
    one = replace(SWEEP, trainings=1)
    tasks = [
        *one.retrainings(),
        *replace(SWEEP, arms=(Arm(), Arm(0.2), Arm(0.2, "JPEG size")), trainings=1).retrainings(),
    ]
    run_all(tasks, progress=False)
    assert sum(entry.kind == "retraining" for entry in store.entries()) == 4  # all images and random ones are shared


def test_progress_says_what_is_left(repository):
    (before,) = planned([SWEEP])
    assert (before.done, before.left, before.ranked) == (0, 6, False)
    assert before.steps == 6 * 6
    run_all(SWEEP.retrainings()[:2], progress=False)
    (now,) = planned([SWEEP])
    assert (now.done, now.left, now.running, now.begun, now.ranked) == (2, 4, 0, 0, True)
    assert now.steps == 6 + 3 * 8  # all images: 6 batches once; without 12 of 60: 4 batches twice
    run_all(SWEEP.retrainings(), progress=False)
    assert progress_text(planned([SWEEP])).endswith("Every training is done.")


def test_a_training_that_is_running_is_seen(repository):
    from filelock import FileLock

    task = SWEEP.retrainings()[0]
    folder = task.training()
    folder.mkdir(parents=True)
    with FileLock(folder / ".lock"):
        assert planned([SWEEP])[0].running == 1
    assert planned([SWEEP])[0].running == 0


def test_sweeps_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="by is 'size', but it must be"):
        replace(SWEEP, arms=(Arm(0.1, "size"),))
    with pytest.raises(InputError, match="scored_by is 'simclr-controlled'"):
        replace(SWEEP, scored_by=replace(RECIPE, n=80))
    with pytest.raises(InputError, match="trainings is 0"):
        replace(SWEEP, trainings=0)
    with pytest.raises(InputError, match="minutes is 0"):
        run_all([], minutes=0)
    with pytest.raises(InputError, match="workers is 0"):
        run_all([], workers=0)


def test_a_cluster_loses_a_worker_and_nothing_else(tmp_path):
    pytest.importorskip("distributed")
    # a library without a checkout stores in the current directory, in this process and in those of the cluster
    library = Path(influence_lib.__file__).parent
    shutil.copytree(library, tmp_path / "library" / library.name, ignore=shutil.ignore_patterns("__pycache__"))
    script = Path(__file__).parent / "on_a_cluster.py"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "library"), "OMP_NUM_THREADS": "1"}
    found = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert found.returncode == 0, found.stderr
    said = json.loads(found.stdout)
    assert said["left"] == 0
    assert said["seen"], "no training was done before the worker was killed"
    assert said["seen"].items() <= said["after"].items()  # what was done stays as it was
    assert len(said["after"]) == said["tasks"] == 4
    assert not list((tmp_path / "artifacts" / "training").glob("[!.]*/epoch-*"))
