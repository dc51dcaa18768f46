"""Run a sweep on a Dask cluster of two workers, one of which is killed; test_sweep.py calls it."""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import joblib
from distributed import Client, LocalCluster

from influence_lib.pretrain import Recipe
from influence_lib.studies.fanout import run_all
from influence_lib.studies.removal import Arm, Sweep

RECIPE = Recipe("simclr", "controlled", n=60, width=2, epochs=3, batch_size=10, precision="fp32")


def done() -> dict[str, str]:
    """Return the trainings that are stored, with when."""
    files = Path("artifacts/retraining").glob("[!.]*/manifest.json")
    return {file.parent.name: json.loads(file.read_text())["created"] + str(file.stat().st_mtime_ns) for file in files}


def kill_one(client: Client, seen: dict[str, str]) -> None:
    """Kill a worker once a training is stored."""
    while not done():
        time.sleep(0.05)
    seen.update(done())
    os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)


if __name__ == "__main__":
    sweep = Sweep(RECIPE, (Arm(), Arm(0.2)), 2, RECIPE)
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        seen: dict[str, str] = {}
        killer = threading.Thread(target=kill_one, args=(client, seen))
        killer.start()
        with joblib.parallel_config(backend="dask"):
            left = run_all(sweep.retrainings(), workers=2, progress=False)
        killer.join()
        after = done()
    json.dump({"left": len(left), "tasks": len(sweep.retrainings()), "seen": seen, "after": after}, sys.stdout)
