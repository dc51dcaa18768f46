"""The store: found by settings, exact, atomic, verified, computed once."""

import json
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from influence_lib import store
from influence_lib.errors import InputError

SETTINGS = {"kind": "scores", "name": "tour", "draws": 2, "noise": [0.05, 0.2]}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), json_values, max_size=5), st.randoms(use_true_random=False))
def test_hash_does_not_depend_on_the_order_of_the_keys(settings: dict[str, Any], random: Any) -> None:
    settings = {**settings, "kind": "scores", "name": "x"}
    items = list(settings.items())
    random.shuffle(items)
    assert store.digest(dict(items)) == store.digest(settings)
    assert json.loads(store.canonical(settings)) == settings


def test_hash_is_the_sha256_of_a_text_that_does_not_change_between_versions() -> None:
    assert store.canonical({"kind": "a", "z": (1, 0.1), "b": None}) == '{"b":null,"kind":"a","z":[1,0.1]}'
    assert store.digest({"kind": "a"}) == "c37a0afd7a3a7e6f1feba5f7239357f799785c63452b36bad414e64ce0cff21e"


def test_every_setting_counts() -> None:
    others = [{**SETTINGS, "draws": 3}, {**SETTINGS, "kind": "other"}, {**SETTINGS, "noise": [0.05, 0.3]}]
    assert len({store.digest(settings) for settings in [SETTINGS, *others]}) == 4


def test_a_result_is_found_under_any_label(tmp_path: Path) -> None:
    relabelled = {**SETTINGS, "name": "another"}
    assert store.get(SETTINGS, lambda: {"x": 1}, root=tmp_path) == {"x": 1}
    assert store.get(relabelled, lambda: {"x": 2}, "results", tmp_path) == {"x": 1}
    assert [entry.name for entry in store.entries(tmp_path)] == ["tour"]


def test_a_result_of_an_earlier_rule_is_not_found(tmp_path: Path) -> None:
    store.get({**SETTINGS, **store.revision(1)}, lambda: {"x": 1}, root=tmp_path)
    assert store.get(SETTINGS, lambda: {"x": 2}, root=tmp_path) == {"x": 1}
    assert store.get({**SETTINGS, **store.revision(2)}, lambda: {"x": 2}, root=tmp_path) == {"x": 2}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"draws": 2}, "must have a 'kind'"),
        ({"kind": "../evil"}, r"settings\['kind'\] is '../evil'"),
        ({"kind": "a", "name": ".hidden"}, r"settings\['name'\]"),
        ({"kind": "a", "rate": float("nan")}, r"settings\['rate'\] is nan, but it must be a finite number"),
        ({"kind": "a", "x": [1, {2}]}, r"settings\['x'\]\[1\]"),
        ({"kind": "a", "x": {1: 2}}, "must be a string"),
        ({"kind": "a", "x": np.float32(1)}, r"settings\['x'\]"),
    ],
)
def test_settings_that_are_no_json_are_refused_with_a_sentence(
    settings: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=said):
        store.get(settings, lambda: {"x": 1}, root=tmp_path)
    assert not list(tmp_path.rglob("*.json"))


def test_unknown_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="place is 'cache', but it must be one of 'results', 'artifacts'"):
        store.get(SETTINGS, lambda: {"x": 1}, place="cache", root=tmp_path)


def test_every_kind_of_value_comes_back_as_it_was(tmp_path: Path) -> None:
    values: dict[str, Any] = {
        "weights": {
            "w": torch.arange(6).reshape(2, 3).T.to(torch.float32),
            "half": torch.ones(2, dtype=torch.bfloat16),
            "n": torch.tensor(7),
        },
        "arrays": {"a": np.arange(6, dtype=np.uint8).reshape(2, 3).T, "scalar": np.full((), 3.5)},
        "table": pd.DataFrame({"id": [3, 1], "name": ["b", None], "score": [0.5, np.nan]}),
        "summary": {"mean": 0.1, "ids": [1, 2], "none": None, "text": "μ"},
        "number": 3,
    }
    first = store.get(SETTINGS, lambda: values, root=tmp_path)
    second = store.get(SETTINGS, lambda: pytest.fail("computed again"), root=tmp_path)
    for back in (first, second):
        assert back.keys() == values.keys()
        assert all(torch.equal(back["weights"][k], v) for k, v in values["weights"].items())
        assert back["weights"]["half"].dtype == torch.bfloat16
        for key, array in values["arrays"].items():
            assert isinstance(back["arrays"][key], np.ndarray)
            assert back["arrays"][key].dtype == array.dtype
            np.testing.assert_array_equal(back["arrays"][key], array)
        pd.testing.assert_frame_equal(back["table"], values["table"])
        assert back["summary"] == values["summary"]
        assert back["number"] == 3
    folder = store.path(SETTINGS, root=tmp_path)
    assert folder == tmp_path / "artifacts" / "scores" / f"tour-{store.digest(SETTINGS)[:10]}"
    assert not [file for file in folder.iterdir() if file.suffix not in {".json", ".parquet", ".safetensors"}]


def test_tensors_that_share_memory_are_kept(tmp_path: Path) -> None:
    shared = torch.arange(4.0)
    back = store.get(SETTINGS, lambda: {"t": {"a": shared, "b": shared[:2]}}, root=tmp_path)
    assert back["t"]["b"].tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "at least one value"),
        ([1], "at least one value"),
        ({"settings": 1}, "not 'settings' or 'manifest'"),
        ({"a/b": 1}, "the name of a value is 'a/b'"),
        ({"x": float("inf")}, "x is inf"),
        ({"x": object()}, "x is <object"),
        ({"x": {"a": np.ones(1), "b": torch.ones(1)}}, "all of NumPy or all of torch"),
        ({"x": {"a": np.ones(1), "b": 1}}, r"x\['b'\] is 'int'"),
        ({"x": {"a": np.array(["text"])}}, "number or bool array"),
    ],
)
def test_values_that_cannot_be_kept_are_refused_and_leave_nothing(values: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        store.get(SETTINGS, lambda: values, root=tmp_path)
    assert store.entries(tmp_path) == []
    assert not list((tmp_path / "artifacts").glob("scores/*"))


def test_an_error_in_compute_leaves_nothing_and_can_be_repeated(tmp_path: Path) -> None:
    def fails() -> dict[str, Any]:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        store.get(SETTINGS, fails, root=tmp_path)
    assert store.find(SETTINGS, tmp_path) is None
    assert store.get(SETTINGS, lambda: {"x": 1}, root=tmp_path) == {"x": 1}


def test_results_are_preferred_to_artifacts(tmp_path: Path) -> None:
    store.get(SETTINGS, lambda: {"x": "large"}, root=tmp_path)
    assert store.get(SETTINGS, lambda: {"x": "new"}, place="results", root=tmp_path) == {"x": "large"}
    store.path(SETTINGS, "artifacts", tmp_path).rename(tmp_path / "moved")
    store.get(SETTINGS, lambda: {"x": "small"}, place="results", root=tmp_path)
    (tmp_path / "moved").rename(store.path(SETTINGS, "artifacts", tmp_path))
    assert store.get(SETTINGS, lambda: {"x": "new"}, root=tmp_path) == {"x": "small"}


def damage_value(folder: Path) -> None:
    (folder / "x.json").write_text("2\n")


def remove_value(folder: Path) -> None:
    (folder / "x.json").unlink()


def change_settings(folder: Path) -> None:
    (folder / "settings.json").write_text(json.dumps({**SETTINGS, "draws": 9}))


@pytest.mark.parametrize("gpu", ["NVIDIA H100", None])
def test_the_manifest_says_what_a_result_was_computed_by(
    gpu: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu is not None)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: gpu)
    store.get(SETTINGS, lambda: {"a": 1}, root=tmp_path)
    manifest = json.loads((store.path(SETTINGS, root=tmp_path) / "manifest.json").read_text())
    assert (manifest["torch"], manifest["gpu"]) == (torch.__version__, gpu)
    assert manifest["seconds"] >= 0


def cut_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text((folder / "manifest.json").read_text()[:40])


def remove_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


@pytest.mark.parametrize("damage", [damage_value, remove_value, change_settings, cut_manifest, remove_manifest])
def test_damage_is_detected_and_never_computed_over(damage: Callable[[Path], None], tmp_path: Path) -> None:
    store.get(SETTINGS, lambda: {"x": 1}, root=tmp_path)
    folder = store.path(SETTINGS, root=tmp_path)
    damage(folder)
    with pytest.raises(InputError, match=r"is damaged .*delete that folder") as error:
        store.get(SETTINGS, lambda: {"x": 1}, root=tmp_path)
    assert str(folder) in str(error.value)


def test_a_folder_under_the_name_of_other_settings_is_refused(tmp_path: Path) -> None:
    store.get(SETTINGS, lambda: {"x": 1}, root=tmp_path)
    other = {**SETTINGS, "draws": 3}
    store.path(SETTINGS, root=tmp_path).rename(store.path(other, root=tmp_path))
    with pytest.raises(InputError, match="not what the result was computed with"):
        store.get(other, lambda: {"x": 1}, root=tmp_path)


def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "artifacts").write_text("no folder")
    with pytest.raises(InputError, match=r"cannot be written .*make room and run again\.$"):
        store.get(SETTINGS, lambda: {"x": 1}, root=tmp_path)
    (tmp_path / "artifacts").unlink()
    (tmp_path / "results").write_text("no folder")
    with pytest.raises(InputError, match=r"cannot be written .*make room and run again\.$"):
        store.get(SETTINGS, lambda: {"x": 1}, place="results", root=tmp_path)


def test_load_of_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must be the folder of a stored result"):
        store.load(tmp_path / "nothing")


SCRIPT = """
import os, signal, sys, time
from pathlib import Path
from typing import Any
from influence_lib import store
root, how = Path(sys.argv[1]), sys.argv[2]
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
def compute():
    with (root / "log").open("a") as log:
        log.write("computed\\n")
    if how == "compute":
        die()
    time.sleep(0.5)
    return {"a": 1, "b": 2}
if how == "write":
    store._write_manifest = die
print(store.get({"kind": "scores", "draws": 1}, compute, root=root))
"""


def start(root: Path, how: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), str(root), how], stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("how", ["compute", "write"])
def test_a_killed_run_leaves_nothing_under_the_final_name(how: str, tmp_path: Path) -> None:
    process = start(tmp_path, how)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    settings = {"kind": "scores", "draws": 1}
    assert store.find(settings, tmp_path) is None
    parent = tmp_path / "artifacts" / "scores"
    assert len(list(parent.glob(".partial-*"))) == (how == "write")
    # another result of the kind sweeps what the dead process left
    store.get({"kind": "scores", "draws": 2}, lambda: {"x": 1}, root=tmp_path)
    assert not list(parent.glob(".partial-*"))
    assert store.get(settings, lambda: {"a": 3}, root=tmp_path) == {"a": 3}


def test_a_partial_folder_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    partial = tmp_path / "artifacts" / "scores" / ".partial-other-0123456789"
    partial.mkdir(parents=True)
    with store._lock(partial, tmp_path):
        store.get(SETTINGS, lambda: {"x": 1}, root=tmp_path)
        assert partial.is_dir()


def test_two_processes_compute_once(tmp_path: Path) -> None:
    processes = [start(tmp_path, "well") for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert outputs == ["{'a': 1, 'b': 2}\n"] * 2
    assert (tmp_path / "log").read_text() == "computed\n"


def test_the_repository_is_the_checkout_of_the_library() -> None:
    assert store.repository() == Path(store.__file__).resolve().parent.parent
    assert store.repository("elsewhere") == Path("elsewhere")


def test_git_state_of_a_checkout_and_of_a_plain_folder(tmp_path: Path) -> None:
    assert store.git_state(tmp_path / "nowhere") == {"commit": None, "dirty": None}
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    state = store.git_state(tmp_path)
    assert len(state["commit"]) == 40
    assert state["dirty"] is False
    (tmp_path / "new").write_text("")
    assert store.git_state(tmp_path)["dirty"] is True
