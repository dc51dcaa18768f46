"""The encoders that are not there yet: how long they take on this machine, and workers that train them.

Each training runs in a process of its own, ``python -m influence_lib encoders NAME --train``, and is stored when it is
finished. One that is stopped goes on after its last epoch when it is asked for again.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from influence_lib import store
from influence_lib.device import machine, resolve_device
from influence_lib.pretrain.loop import pretrain
from influence_lib.pretrain.recipes import SHIPPED, Recipe
from influence_lib.text import duration

__all__ = ["Job", "plan", "seconds_a_step", "shared_gpu", "table", "work"]

TRIAL_BATCHES, TRIAL_EPOCHS = 3, 2  # of the training that measures the speed; the last epoch counts
POLL = 0.2  # seconds between two looks at the workers
MPS = "nvidia-cuda-mps-control"


@dataclass(frozen=True)
class Job:
    """Encoders of one training that are not stored yet, or not measured, the shorter trainings first.

    Attributes
    ----------
    recipes : tuple of Recipe
        What is stored on the way; more than one where encoders along a training are asked for.
    epochs, of : int
        How many epochs are done, of how many.
    steps : int
        Batches that are left.
    seconds : float
        How long they take here.
    elsewhere : str
        The other kind of machine on which trainings of the same recipe with other seeds were run, or nothing.
    """

    recipes: tuple[Recipe, ...]
    epochs: int
    of: int
    steps: int
    seconds: float
    elsewhere: str

    @property
    def name(self) -> str:
        """That of the last of its encoders."""
        return self.recipes[-1].name


def plan(recipes: Sequence[Recipe], device: str = "auto") -> list[Job]:
    """Return what is left to train of some recipes, in their order, with the time as measured by a short trial.

    Parameters
    ----------
    recipes : sequence of Recipe
        Those wanted.
    device : str
        ``"auto"`` or a torch device.
    """
    missing: dict[Path, list[Recipe]] = {}
    for recipe in tqdm(recipes, desc="looking", delay=2, leave=False, disable=None):
        complete, training, _ = recipe.state(device)
        if not complete:
            missing.setdefault(training, []).append(recipe)
    speeds: dict[tuple[object, ...], float] = {}
    return [_job(tuple(sorted(some, key=_last)), device, speeds) for some in missing.values()]


def _last(recipe: Recipe) -> int:
    return recipe.stop_at or recipe.epochs


def _job(recipes: tuple[Recipe, ...], device: str, speeds: dict[tuple[object, ...], float]) -> Job:
    longest = recipes[-1]
    _, _, done = longest.state(device)
    images = longest.images()
    steps = max(0, _last(longest) - done) * (len(images) // longest.batch_size)
    kind = (longest.method, longest.width, longest.batch_size, longest.precision, images.images.shape[1:])
    if kind not in speeds:
        speeds[kind] = seconds_a_step(longest, device)
    return Job(recipes, done, _last(longest), steps, steps * speeds[kind], _elsewhere(longest, device))


def seconds_a_step(recipe: Recipe, device: str) -> float:
    """Return how long a batch takes, from a short training that is thrown away."""
    images = recipe.images()
    few = images.subset(range(min(len(images), TRIAL_BATCHES * recipe.batch_size)))
    trial = pretrain(
        few,
        recipe.method,
        width=recipe.width,
        epochs=TRIAL_EPOCHS,
        batch_size=recipe.batch_size,
        device=device,
        precision=recipe.precision,
        progress=False,
    )
    return recipe.batch_size / trial.history[-1]["images_per_second"]


def _elsewhere(recipe: Recipe, device: str) -> str:
    """Return the other kind of machine on which this recipe was trained with another seed, or nothing."""
    twins = {each.name for each in SHIPPED if each != recipe and _without_seed(each) == _without_seed(recipe)}
    here = machine(device)
    kinds = {entry.machine for entry in store.entries() if entry.kind == "encoder" and entry.name in twins}
    return min(kinds - {here}, default="") if here not in kinds else ""


def _without_seed(recipe: Recipe) -> dict[str, object]:
    return {key: value for key, value in vars(recipe).items() if key != "seed"}


def table(jobs: Sequence[Job], device: str = "auto") -> str:
    """Return what is left as text: a line for each training, and the sum."""
    if not jobs:
        return "Every encoder is there."
    width = max(len(job.name) for job in jobs)
    lines = [f"{'name':<{width}}  epochs   steps left    time"]
    lines += [
        f"{job.name:<{width}}  {f'{job.epochs}/{job.of}':>6}  {job.steps:>11,}  {duration(job.seconds):>6}"
        + (f"  left out: its twins were trained on {job.elsewhere}" if job.elsewhere else "")
        for job in jobs
    ]
    total = sum(job.seconds for job in jobs if not job.elsewhere)
    lines.append(
        f"{len(jobs)} trainings, about {duration(total)} one after the other on this machine ({machine(device)})."
    )
    return "\n".join(lines)


def work(
    jobs: Sequence[Job],
    place: str = "artifacts",
    device: str = "auto",
    workers: int = 1,
    minutes: float | None = None,
) -> list[str]:
    """Train, each training in a process of its own, and return the names of those that failed.

    Parameters
    ----------
    jobs : sequence of Job
        In the order in which they are begun.
    place : {"artifacts", "results"}
        Where the encoders and their accuracies are stored.
    device : str
        ``"auto"`` or a torch device.
    workers : int
        Trainings at a time. On a CPU they share the cores; on a GPU they share it through NVIDIA's MPS where that is
        installed.
    minutes : float, optional
        When to stop; what is not finished then goes on after its last epoch another time.
    """
    deadline = None if minutes is None else time.monotonic() + 60 * minutes
    waiting, failed = deque(jobs), list[str]()
    running: dict[subprocess.Popen[bytes], Job] = {}
    bar = tqdm(total=len(jobs), unit="training", desc="trainings")
    with bar, shared_gpu(device, workers) as shared:
        try:
            while (waiting or running) and not _is_over(deadline):
                while waiting and len(running) < workers:
                    job = waiting.popleft()
                    running[_started(job, place, device, workers, shared)] = job
                for process in [each for each in running if each.poll() is not None]:
                    job = running.pop(process)
                    failed += [job.name] if process.returncode else []
                    bar.write(f"{job.name}: {f'failed, see {_log(job)}' if process.returncode else 'done'}")
                    bar.update()
                time.sleep(POLL)
        finally:
            for process in running:
                process.terminate()
            for process in running:
                process.wait()
    return failed


def _is_over(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() > deadline


def _log(job: Job) -> Path:
    return store.repository() / "artifacts" / "queue" / f"{job.name}.log"


def _started(job: Job, place: str, device: str, workers: int, shared: dict[str, str]) -> "subprocess.Popen[bytes]":
    """Return a process that trains the encoders of a job, what it says in a file."""
    threads = max(1, (os.cpu_count() or 1) // workers)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), **shared}
    names = [recipe.name for recipe in job.recipes]
    log = _log(job)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        options = ["--train", "--place", place, "--device", device]
        command = [sys.executable, "-m", "influence_lib", "encoders", *names, *options]
        return subprocess.Popen(command, stdout=file, stderr=file, env=environment)


@contextlib.contextmanager
def shared_gpu(device: str, workers: int) -> Iterator[dict[str, str]]:
    """Share a GPU between processes for a while, where NVIDIA's service is there, and give their environment."""
    control = shutil.which(MPS)
    if workers == 1 or control is None or resolve_device(device).type != "cuda":
        yield {}
        return
    with tempfile.TemporaryDirectory() as folder:
        shared = {"CUDA_MPS_PIPE_DIRECTORY": folder, "CUDA_MPS_LOG_DIRECTORY": folder}
        environment = {**os.environ, **shared}
        subprocess.run([control, "-d"], env=environment, check=True)
        try:
            yield shared
        finally:
            subprocess.run([control], input=b"quit\n", env=environment, check=False)
