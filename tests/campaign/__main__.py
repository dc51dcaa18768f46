"""Kills, neighbours, full disks and damaged files, in some minutes: ``python -m tests.campaign``.

The counts go to ``bench/results/campaign.json`` and, as a table, to ``campaign.md`` beside it, which the book's page of
benchmarks shows. Damaged files that were neither read nor refused in a sentence are kept in ``artifacts/campaign``;
``--seed`` and the number in their name make them again.
"""

import argparse
import json
import os
import random
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from bench._shared import RESULTS, machine, write
from influence_lib.store import repository
from tests.campaign import victims
from tests.campaign.children import Child
from tests.campaign.full_disk import full_disk
from tests.campaign.kills import kill
from tests.campaign.mutations import mutations
from tests.campaign.report import report, results
from tests.campaign.together import together
from tests.campaign.trials import Trial, empty_folder, reference
from tests.campaign.work import JOBS, SHARED

KILLS = {
    "training with a checkpoint folder": 24,
    "training through the store": 18,
    "scoring with unfinished batches": 18,
    "scoring through the store": 14,
    "the store": 16,
    "the runner": 10,
}
PROCESSES = (2, 4)
FULL_DISKS = 3  # of each way and each work
FILES = {
    "image in a folder": 220,
    "image in a parquet file": 50,
    "parquet file": 40,
    "solo-learn checkpoint": 80,
    "checkpoint folder": 60,
    "stored result": 30,
    "finished batches of a score": 20,
}
MINUTES = 8


def disturbed(seed: int) -> Iterator[Trial]:
    """Yield the trials with work that is killed, done twice at once, or without room."""
    rng = random.Random(seed)
    for what, jobs in JOBS.items():
        try:
            references = [reference(job) for job in jobs]
        except RuntimeError as error:  # there is nothing to compare with, but the rest goes on
            yield Trial("undisturbed", what, str(error))
            continue
        shares = [len(range(i, KILLS[what], len(jobs))) for i in range(len(jobs))]
        for expected, share in zip(references, shares, strict=True):
            yield from kill(what, expected, share, rng)
        for processes in PROCESSES:
            yield together(what, references[0], processes, once=what in SHARED)
        yield from full_disk(what, references[0], FULL_DISKS, rng)


def damaged(seed: int, kept: Path) -> Iterator[Trial]:
    """Yield the trials with damaged files; those that failed are kept."""
    with empty_folder() as templates:
        laid = Child(victims.lay, templates).wait()
        if laid.how != "done":
            yield Trial("undisturbed", "what is to be damaged", str(laid.what))
            return
        for what, group in victims.groups().items():
            yield from mutations(group, templates, FILES[what], seed, kept)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the campaign, print the table and write the results; the status is 1 where a trial failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=0, help="of the times of the kills and of the damage (default 0)")
    parser.add_argument(
        "--only", choices=("work", "files"), help="disturbed work or damaged files; nothing is written then"
    )
    options = parser.parse_args(argv)
    # the children start from a process that has these, too: one thread each, and no word on their semaphores
    os.environ.update(OMP_NUM_THREADS="1", PYTHONWARNINGS="ignore:resource_tracker:UserWarning")
    kept = repository() / "artifacts" / "campaign"
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    sys.stderr.write(f"About {MINUTES} minutes on two cores.\n")
    started, trials = time.monotonic(), []
    total = sum(KILLS.values()) + len(JOBS) * (len(PROCESSES) + 2 * FULL_DISKS) + sum(FILES.values())
    with tqdm(total=total, unit="trial", smoothing=0) as bar:
        for kind, run in {"work": disturbed(options.seed), "files": damaged(options.seed, kept)}.items():
            if options.only in (kind, None):
                for trial in run:
                    trials.append(trial)
                    bar.set_postfix_str(
                        f"{trial.kind}: {trial.what}, failed {sum(t.failure is not None for t in trials)}"
                    )
                    bar.update()
    box = machine(("torch", "safetensors", "pillow", "pyarrow", "filelock")) | {"threads": 1}
    about = {"machine": box, "seed": options.seed, "minutes": (time.monotonic() - started) / 60}
    found = about | results(trials, repository())
    if options.only is None:
        write(RESULTS / "campaign.json", json.dumps(found, indent=1, ensure_ascii=False) + "\n")
        write(RESULTS / "campaign.md", report(found))
    sys.stdout.write(report(found))
    return int(any(trial.failure for trial in trials))


if __name__ == "__main__":
    raise SystemExit(main())
