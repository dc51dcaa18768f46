"""The queue of trainings: what is left, how long it takes, workers, and a time to stop."""

import os
import sys

import pytest
import torch

from influence_lib import store
from influence_lib.cli import main
from influence_lib.pretrain import Recipe
from influence_lib.pretrain import commands as commands_module
from influence_lib.pretrain import queue as module
from influence_lib.pretrain.queue import Job, plan, table, work

TINY = Recipe("simclr", "controlled", n=40, width=2, epochs=4, batch_size=20, precision="fp32")
EARLY = Recipe(**{**vars(TINY), "stop_at": 2})
OTHER = Recipe(**{**vars(TINY), "method": "supervised"})


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.setattr("influence_lib.store.repository", lambda root=None: tmp_path)
    return tmp_path


@pytest.fixture
def known_speed(monkeypatch):
    monkeypatch.setattr(Recipe, "held_out", lambda self: self.collection.images(20))
    monkeypatch.setattr(module, "seconds_a_step", lambda recipe, device: 0.5)


def script(monkeypatch, text):
    """Let workers run a Python script, which is given the names, in place of a training."""

    def started(job, place, device, workers, shared):
        names = [recipe.name for recipe in job.recipes]
        return module.subprocess.Popen([sys.executable, "-c", text, *names], env={**os.environ, **shared})

    monkeypatch.setattr(module, "_started", started)


def job(name_of=TINY, seconds=1.0, elsewhere=""):
    return Job((name_of,), 0, 4, 8, seconds, elsewhere)


def test_what_is_left_counts_each_training_once_and_from_its_last_epoch(repository, known_speed):
    assert [(j.name, j.epochs, j.of, j.steps, j.seconds) for j in plan([EARLY, TINY, OTHER], "cpu")] == [
        ("simclr-controlled", 0, 4, 8, 4.0),
        ("supervised-controlled", 0, 4, 8, 4.0),
    ]
    EARLY.accuracy(EARLY.encoder(progress=False))
    (left,) = plan([EARLY, TINY], "cpu")
    assert (left.recipes, left.epochs, left.steps) == ((TINY,), 2, 4)
    encoder = TINY.encoder(progress=False)
    (left,) = plan([EARLY, TINY], "cpu")
    assert (left.recipes, left.epochs, left.steps) == ((TINY,), 4, 0)  # its accuracy is left
    TINY.accuracy(encoder)
    assert plan([EARLY, TINY], "cpu") == []
    assert table([]) == "Every encoder is there."


def test_the_speed_is_measured(repository):
    (left,) = plan([TINY], "cpu")
    assert 0 < left.seconds < 600


def test_twins_are_trained_on_one_kind_of_machine(repository, known_speed, monkeypatch):
    twin = Recipe(**{**vars(TINY), "seed": 1})
    monkeypatch.setattr(module, "SHIPPED", (TINY, twin))
    TINY.encoder(progress=False)
    assert plan([twin], "cpu")[0].elsewhere == ""
    monkeypatch.setattr(module, "machine", lambda device="auto": "a GPU")
    (left,) = plan([twin], "cpu")
    assert left.elsewhere == "CPU"
    assert "left out: its twins were trained on CPU" in table([left])


def test_the_table_says_how_long(monkeypatch):
    monkeypatch.setattr(module, "machine", lambda device="auto": "CPU")
    lines = table([job(seconds=120), job(OTHER, seconds=7200), job(EARLY, 60, elsewhere="a GPU")]).splitlines()
    assert lines[1].split() == ["simclr-controlled", "0/4", "8", "2", "min"]
    assert lines[2].endswith("2.0 h")
    assert lines[-1] == "3 trainings, about 2.0 h one after the other on this machine (CPU)."


def test_workers_train_and_what_fails_is_named(repository, monkeypatch, capsys):
    script(monkeypatch, "import sys; sys.exit(sys.argv[1].startswith('supervised'))")
    assert work([job(TINY), job(OTHER)], workers=2) == ["supervised-controlled"]
    said = capsys.readouterr()
    assert "simclr-controlled: done" in said.out + said.err
    assert "supervised-controlled: failed, see" in said.out + said.err


def test_as_many_at_a_time_as_there_are_workers(repository, monkeypatch):
    begun, most = [], []
    original = module.subprocess.Popen

    class Counted(original):
        def __init__(self, *arguments, **named):
            super().__init__(*arguments, **named)
            begun.append(self)
            most.append(sum(process.poll() is None for process in begun))

    monkeypatch.setattr(module.subprocess, "Popen", Counted)
    script(monkeypatch, "import time; time.sleep(0.5)")
    assert work([job()] * 5, workers=2) == []
    assert (len(begun), max(most)) == (5, 2)


def test_time_is_up_for_all(repository, monkeypatch):
    begun = []
    original = module.subprocess.Popen
    monkeypatch.setattr(module.subprocess, "Popen", lambda *a, **k: begun.append(original(*a, **k)) or begun[-1])
    script(monkeypatch, "import time; time.sleep(600)")
    assert work([job()] * 3, workers=2, minutes=0.01) == []
    assert len(begun) == 2
    assert all(process.poll() is not None for process in begun)


def test_a_worker_is_the_command_itself(monkeypatch, tmp_path):
    calls = []
    monkeypatch.setattr(module.subprocess, "Popen", lambda command, **named: calls.append((command, named["env"])))
    monkeypatch.setattr(module, "_log", lambda job: tmp_path / "log" / "x.log")
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    module._started(Job((EARLY, TINY), 0, 4, 8, 1.0, ""), "results", "cpu", 4, {"SHARED": "1"})
    ((command, environment),) = calls
    names = ["simclr-controlled-epoch2", "simclr-controlled"]
    options = ["--train", "--place", "results", "--device", "cpu"]
    assert command[1:] == ["-m", "influence_lib", "encoders", *names, *options]
    assert (environment["OMP_NUM_THREADS"], environment["SHARED"]) == ("2", "1")


@pytest.mark.parametrize(("workers", "kind", "there"), [(1, "cuda", True), (2, "cpu", True), (2, "cuda", False)])
def test_a_gpu_is_shared_only_where_that_can_be(workers, kind, there, monkeypatch):
    monkeypatch.setattr(module.shutil, "which", lambda name: "/bin/mps" if there else None)
    monkeypatch.setattr(module, "resolve_device", lambda device: torch.device(kind))
    monkeypatch.setattr(module.subprocess, "run", None)
    with module.shared_gpu("auto", workers) as shared:
        assert shared == {}


def test_the_gpu_is_given_back(monkeypatch):
    calls = []
    monkeypatch.setattr(module.shutil, "which", lambda name: "/bin/mps")
    monkeypatch.setattr(module, "resolve_device", lambda device: torch.device("cuda"))
    monkeypatch.setattr(module.subprocess, "run", lambda command, **named: calls.append((command, named.get("input"))))
    with module.shared_gpu("auto", 2) as shared:
        assert shared["CUDA_MPS_PIPE_DIRECTORY"]
    assert calls == [(["/bin/mps", "-d"], None), (["/bin/mps"], b"quit\n")]


@pytest.fixture
def tiny(repository, known_speed, monkeypatch):
    monkeypatch.setattr(commands_module, "SHIPPED", (TINY,))
    monkeypatch.setattr(commands_module, "shipped", lambda name: TINY)


def test_a_dry_run_trains_nothing(tiny, capsys):
    assert main(["encoders", "--dry-run"]) == 0
    assert "simclr-controlled     0/4            8" in capsys.readouterr().out
    assert not list(store.entries())


def test_a_failure_is_a_sentence(tiny, monkeypatch, capsys):
    script(monkeypatch, "import sys; sys.exit(1)")
    assert main(["encoders", "--train", "--workers", "2"]) == 2
    assert "error: simclr-controlled could not be trained: artifacts/queue/" in capsys.readouterr().err


@pytest.mark.parametrize(("option", "value"), [("--workers", "0"), ("--minutes", "-1")])
def test_bad_numbers_are_named(tiny, option, value, capsys):
    assert main(["encoders", "--train", option, value]) == 2
    assert f"{option} is {value.replace('-1', '-1.0')}" in capsys.readouterr().err
