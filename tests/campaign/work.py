"""The work that is disturbed: small jobs that keep their results in one folder and say what they computed.

A job runs in a process of its own, on the folder it is given. What it keeps there is read by `kept` and `damage`.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from functools import partial, wraps
from pathlib import Path
from typing import Any
from unittest.mock import patch

import nbformat
import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from influence_lib import store
from influence_lib.book import Book
from influence_lib.book.chapters import chapters
from influence_lib.book.execute import execute
from influence_lib.book.freshness import stale
from influence_lib.data import ImageSet
from influence_lib.influence import self_influence, stored_scores
from influence_lib.influence.curvature import passes
from influence_lib.pretrain import build_encoder, checkpoints, loop, stored
from influence_lib.pretrain.encoders import Encoder
from influence_lib.pretrain.methods import METHODS
from tests.images import noise_images

Job = Callable[[Path], str]
"""Works in a folder and returns a hash of what it computed."""

HEAD = {
    "projector_hidden": 64,
    "projector_out": 32,
    "predictor_hidden": 64,
    "prototypes": 48,
    "queue_size": 16,
    "frozen_prototypes_epochs": 1,
}
CLOCKS = {"images_per_second", "seconds", "created"}
"""What differs between two runs that do the same."""
NO_VALUES = ("*.lock", "manifest.json", "*.manifest.json")
UNFINISHED = ("*.partial", ".partial-*", ".writing")
"""Names of what is being written."""


def images() -> ImageSet:
    """Return what is trained on and scored."""
    return noise_images(20)


def encoder() -> Encoder:
    """Return what is scored: an untrained encoder, always the same."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_encoder(2).eval()


def digest(tensors: Iterable[Tensor]) -> str:
    """Return a hash of the bytes of some tensors."""
    total = hashlib.sha256()
    for tensor in tensors:
        total.update(tensor.detach().contiguous().numpy().tobytes())
    return total.hexdigest()


def log_file(folder: Path) -> Path:
    """Return where the jobs in a folder say that they compute: beside it, since its disk may be full."""
    return folder.with_name("log")


def logged(folder: Path, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that leaves a line in the folder's log each time it is called."""

    @wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        with log_file(folder).open("a") as log:
            log.write("worked\n")
        return function(*arguments, **options)

    return call


def in_folder(folder: Path) -> None:
    """Let the store be in a folder, and save all that is unfinished at once; only in a process of its own."""
    store.repository = lambda root=None: folder if root is None else Path(root)
    loop.SECONDS_BETWEEN_CHECKPOINTS = 0
    passes.SAVE_SECONDS = 0


def training(method: str) -> dict[str, Any]:
    """Return the arguments of a short training."""
    head = {name: value for name, value in HEAD.items() if name in METHODS[method].DEFAULTS}
    sizes = {"width": 16, "epochs": 3, "batch_size": 10, "precision": "fp32", "device": "cpu", "progress": False}
    return {"method": method, **sizes, **head}


def train(folder: Path, method: str) -> str:
    """Train with a checkpoint folder."""
    in_folder(folder)
    patch.object(loop._Run, "train_epoch", logged(folder, loop._Run.train_epoch)).start()
    return digest(loop.pretrain(images(), checkpoint=folder / "training", **training(method)).state_dict().values())


def train_stored(folder: Path, method: str) -> str:
    """Train through the store."""
    in_folder(folder)
    patch.object(loop._Run, "train_epoch", logged(folder, loop._Run.train_epoch)).start()
    return digest(stored.stored_encoder(images(), **training(method)).state_dict().values())


def score(folder: Path, **how: Any) -> str:
    """Score, keeping the finished batches."""
    in_folder(folder)
    scores = self_influence(
        encoder(), images(), draws=3, device="cpu", unfinished=folder / "unfinished", progress=False, **how
    )
    return digest([scores.by_draw, *scores.by_layer.values()])


def score_stored(folder: Path, **how: Any) -> str:
    """Score through the store."""
    in_folder(folder)
    scored = logged(folder, self_influence)
    return digest([stored_scores(scored, encoder(), images(), draws=3, device="cpu", progress=False, **how).by_draw])


def store_values(folder: Path, megabytes: int = 16) -> str:
    """Compute values of every kind, most of whose time is their writing."""
    rng = np.random.default_rng(0)

    def compute() -> dict[str, Any]:
        arrays = {name: rng.random((megabytes, 1 << 16)) for name in ("a", "b")}
        weights = {"w": torch.from_numpy(rng.random((megabytes, 1 << 15))).float()}
        table = pd.DataFrame({"row": np.arange(1 << 15), "value": rng.random(1 << 15)})
        return {"arrays": arrays, "weights": weights, "table": table, "list": list(range(5000)), "text": "μ"}

    values = store.get({"kind": "values", "megabytes": megabytes}, logged(folder, compute), root=folder)
    arrays = [torch.from_numpy(array) for array in values["arrays"].values()]
    return digest([*arrays, values["weights"]["w"], torch.from_numpy(values["table"].to_numpy())])


NOTEBOOK = """\
---
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# A chapter

```{code-cell} ipython3
:tags: [parameters]

rows: int = 400  # how many lines
```

```{code-cell} ipython3
for row in range(rows):
    print(row, row**20)
```
"""


def prepare(folder: Path) -> None:
    """Write what a job finds in its folder: the source of a chapter."""
    (folder / "notebooks").mkdir()
    (folder / "notebooks" / "01_one.md").write_text(NOTEBOOK)


def run_chapter(folder: Path) -> str:
    """Execute a chapter if it is not up to date, as `python -m influence_lib book` does."""
    book = Book(folder, folder / "notebooks")
    (chapter,) = chapters(book)
    if stale(chapter, book):
        logged(folder, execute)(chapter, book)
    return str(stale(chapter, book))


def kept(folder: Path) -> dict[str, str]:
    """Return a hash of every file in the folder that is a value; clocks are left out."""
    hashes = {}
    for file in sorted(folder.rglob("*")):
        if not file.is_file() or any(file.match(pattern) for pattern in NO_VALUES):
            continue
        content = file.read_bytes()
        if file.suffix == ".json":
            content = json.dumps(without_clocks(json.loads(content)), sort_keys=True).encode()
        hashes[file.relative_to(folder).as_posix()] = hashlib.sha256(content).hexdigest()
    return hashes


def without_clocks(value: Any) -> Any:
    """Return a JSON value without the entries that hold times."""
    if isinstance(value, dict):
        return {key: without_clocks(item) for key, item in value.items() if key not in CLOCKS}
    return [without_clocks(item) for item in value] if isinstance(value, list) else value


def unfinished(folder: Path) -> list[str]:
    """Return what in the folder is named as being written."""
    found = [path for pattern in UNFINISHED for path in folder.rglob(pattern)]
    return sorted(path.relative_to(folder).as_posix() for path in found)


def damage(folder: Path) -> list[str]:
    """Return what has a final name in the folder and cannot be read: nothing may, whenever the work was stopped."""
    found = []
    for path, read in final(folder):
        try:
            read()
        except (ValueError, KeyError, OSError, SafetensorError) as error:
            found.append(f"{path.relative_to(folder).as_posix()}: {type(error).__name__}: {error}")
    return found


def final(folder: Path) -> Iterable[tuple[Path, Callable[[], object]]]:
    """Yield everything with a final name, and how it is read."""
    for place in store.PLACES:
        for result in folder.glob(f"{place}/[!.]*/[!.]*-*"):
            if result.parent.name not in ("training", "unfinished"):
                yield result, partial(store.load, result)
    for run in (folder / "training", *folder.glob("artifacts/training/*")):
        yield run, partial(checkpoints.load_state, run)
    for file in folder.rglob("unfinished/**/*.safetensors"):
        yield file, partial(totals, file)
    for page in folder.glob("book/_executed/[!.]*.ipynb"):
        yield page, partial(nbformat.read, page, as_version=4)
    for manifest in folder.glob("book/_executed/[!.]*.json"):
        yield manifest, partial(lambda file: json.loads(file.read_text()), manifest)


def totals(file: Path) -> list[Tensor]:
    """Read the finished batches of a scoring."""
    with safe_open(file, framework="pt") as opened:
        int(opened.metadata()["batches"])
        return [opened.get_tensor(name) for name in opened.keys()]  # noqa: SIM118 - no mapping


JOBS: dict[str, list[Job]] = {
    "training with a checkpoint folder": [partial(train, method=method) for method in ("simclr", "byol", "moco")],
    "training through the store": [partial(train_stored, method=method) for method in ("simclr", "dino", "vicreg")],
    "scoring with unfinished batches": [
        partial(score, curvature="ekfac"),
        partial(score, curvature="ekfac", rank=4),
        partial(score, curvature="logra"),
    ],
    "scoring through the store": [
        partial(score_stored, curvature="ekfac"),
        partial(score_stored, curvature="diagonal"),
    ],
    "the store": [store_values],
    "the runner": [run_chapter],
}
"""What is disturbed, in several ways each."""
SHARED = set(JOBS) - {"scoring with unfinished batches", "the runner"}
"""What several processes share, so that it is done once."""
