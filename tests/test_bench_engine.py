"""The parts of the engine's benchmark that can be wrong without a run showing it."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from bench import _engine_worker as worker
from bench import engine
from bench._engine_report import picture, report
from bench._engine_results import agreement, at_limit, compare_stages, costs, extrapolated, seconds_of
from bench._engine_worker import COVARIANCES, EIGEN, MOMENTS, SCORES, Run, Setup
from influence_lib.influence.curvature import through_kronfluence as reference
from influence_lib.influence.views import pairs
from tests.images import noise_images

GIB = 2**30
DEVIATION = {"relative": 0.015, "spearman": 0.9987, "rank": 8, "pairs": 32}


def measurement(run: Run, seconds=(1.0, 2.0, 3.0, 10.0), scores=None, memory=(GIB, 3 * GIB), **more):
    """Return a run's measurement: seconds of the three passes and of the eigendecomposition."""
    stages = dict(zip((COVARIANCES, MOMENTS, SCORES, EIGEN), seconds, strict=True))
    return {
        "mode": run.mode,
        "images": run.images,
        "width": run.width,
        "rank": run.rank,
        "layers": run.layers,
        "batch_size": run.batch_size,
        "seconds": stages,
        "total": sum(seconds),
        "rate": 1e11,
        "memory": dict(zip(("before", "peak"), memory, strict=True)),
        "scores": scores or [float(i + 1) for i in range(run.images)],
        "deviation": DEVIATION if run.mode == "fast, measured" else None,
        **more,
    }


LIMITS = {
    "encoder": 4e9,
    "passes": {"exact": {COVARIANCES: 2e9, MOMENTS: 6e9, SCORES: 1e9}, "fast": {COVARIANCES: 2e9, SCORES: 3e9}},
    "rates": {"float32": 1e11, "bfloat16": 4e11},
    "fast_covariances": "bfloat16",
}


def found_by(step):
    """Return what a step of the benchmark would find, without computing anything."""
    if step.func is worker.train:
        return {str(width): [{"epoch": 1}] for width in step.args[1]}
    if step.func is worker.limits:
        return LIMITS
    if step.func is worker.measure:
        return one(step.args[1])
    assert step.func is worker.measure_each
    return [{key: value for key, value in one(run).items() if key != "memory"} for run in step.args[1]]


def one(run: Run):
    """Return the measurement of a run: kronfluence takes five times as long as ours."""
    slow = 5 if run.mode == "kronfluence" else 1
    return measurement(run, (1.0 * slow, 2.0 * slow, 3.0 * slow, 10.0 * slow))


def test_passes_are_of_an_image_and_the_eigendecomposition_of_all():
    run = measurement(Run("exact", 4, 8))
    assert [seconds_of(run, part) for part in (COVARIANCES, MOMENTS, SCORES)] == [0.25, 0.5, 0.75]
    assert seconds_of(run, "three passes") == 1.5
    assert seconds_of(run, EIGEN) == 10.0


def test_stages_are_compared_in_medians_over_rounds():
    ours = [measurement(Run("exact", 2, 8), (c, 1.0, 1.0, 4.0), [1.0, 2.0]) for c in (1.0, 2.0, 9.0)]
    theirs = [
        measurement(Run("kronfluence", 2, 8), (c, 3.0, 1.0, 8.0), [1.0, 2.0002], (GIB, peak * GIB))
        for c, peak in ((4.0, 2), (6.0, 6), (9.0, 3))
    ]
    found = compare_stages(ours, theirs)
    assert found["times_as_fast"][COVARIANCES] == {"of_medians": 3.0, "min": 1.0, "max": 4.0}
    assert found["times_as_fast"][MOMENTS]["of_medians"] == 3.0
    assert found["times_as_fast"]["three passes"]["of_medians"] == 10.0 / 4.0
    assert found["seconds"]["exact"][COVARIANCES] == 1.0
    assert found["seconds"]["kronfluence"][EIGEN] == 8.0
    assert found["memory"] == {"exact": 2 * GIB, "kronfluence": 5 * GIB}
    assert found["largest_difference"] == pytest.approx(1e-4, rel=1e-3)


def test_agreement_of_scores_that_are_all_too_high():
    exact = np.random.default_rng(0).random(200) + 0.1
    found = agreement(list(1.03 * exact), list(exact))
    assert found == {"spearman": pytest.approx(1), "median_error": pytest.approx(0.03), "top": 50, "top_shared": 1.0}


def test_agreement_counts_the_highest_that_are_shared():
    exact = np.arange(1.0, 9.0)
    swapped = exact.copy()
    swapped[[3, 4]] = swapped[[4, 3]]  # the highest of the lower half and the lowest of the upper
    found = agreement(list(swapped), list(exact))
    assert (found["top"], found["top_shared"]) == (4, 0.75)
    assert found["spearman"] == pytest.approx(1 - 6 * 2 / (8 * 63))


def test_only_the_passes_grow_with_the_images():
    runs = [measurement(Run("kronfluence", 10, 8), (c, 2.0, 3.0, 7.0)) for c in (1.0, 5.0, 2.0)]
    found = extrapolated(runs, 40)
    assert found["seconds"] == {COVARIANCES: 8.0, MOMENTS: 8.0, SCORES: 12.0, EIGEN: 7.0}
    assert (found["images"], found["total"], found["extrapolated"]) == (40, 35.0, True)


def test_the_limit_of_the_fast_covariances_is_that_of_their_format():
    assert at_limit(LIMITS, "exact") == pytest.approx({COVARIANCES: 0.06, MOMENTS: 0.1, SCORES: 0.05})
    assert at_limit(LIMITS, "fast") == pytest.approx({COVARIANCES: 0.045, SCORES: 0.07})


def test_a_cost_is_that_of_an_image_and_of_the_rest():
    run = measurement(Run("fast", 5, 16, 8))
    assert costs([run], "width") == [
        {"width": 16, "mode": "fast", "passes": 1.2, "eigendecomposition": 10.0, "memory": 2 * GIB}
    ]
    del run["memory"]
    assert "memory" not in costs([run], "width")[0]


def test_a_killed_run_goes_on_with_the_step_that_failed(tmp_path):
    ran = []

    def execute(step):
        ran.append(step())
        if ran == ["a", "b"]:
            raise KeyboardInterrupt
        return ran[-1]

    steps = {name: (lambda name=name: name) for name in "abc"}
    with pytest.raises(KeyboardInterrupt):
        engine.Progress(tmp_path, {"scale": (1, 2)}).run(steps, execute)
    assert engine.Progress(tmp_path, {"scale": (1, 2)}).run(steps, execute) == {"a": "a", "b": "b", "c": "c"}
    assert ran == ["a", "b", "b", "c"]


def test_an_unfinished_run_with_other_settings_is_refused_or_dropped(tmp_path):
    steps = {"a": lambda: 1}
    engine.Progress(tmp_path, {"rank": 8, "width": 4}).run(steps, lambda step: step())
    with pytest.raises(engine.InputError, match="unfinished run with another rank: give --fresh"):
        engine.Progress(tmp_path, {"rank": 9, "width": 4})
    (tmp_path / "encoder").touch()
    assert engine.Progress(tmp_path, {"rank": 9, "width": 4}, fresh=True).done == {}
    assert not (tmp_path / "encoder").exists()


@pytest.mark.parametrize("options", [["--quick"], ["--extrapolate"], ["--rounds=2"]])
def test_a_run_writes_the_three_files_and_leaves_nothing_else(tmp_path, capsys, options):
    engine.main([*options, "--dataset=controlled", f"--output={tmp_path}"], found_by)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["engine.json", "engine.md", "engine.png"]
    results, text = json.loads((tmp_path / "engine.json").read_text()), (tmp_path / "engine.md").read_text()
    assert text == report(results) == capsys.readouterr().out.removesuffix("\n")
    assert (tmp_path / "engine.png").read_bytes() == picture(results)
    measured = "--rounds=2" in options
    assert len(results["stages"]) == 1 + measured
    assert ("(extrapolated)" in text) is not measured
    assert ("numbers mean nothing" in text) is ("--quick" in options)
    assert "| three passes, s an image |" in text
    assert "| 5.0 |" in text  # of the stages


def test_end_to_end_compares_with_kronfluence_on_all_images(tmp_path):
    engine.main(["--extrapolate", "--dataset=controlled", f"--output={tmp_path}"], found_by)
    results = json.loads((tmp_path / "engine.json").read_text())
    # of 96 images 5, 10 and 15 seconds and once 50; ours 16 in all
    assert results["end_to_end"]["kronfluence"]["seconds"] == pytest.approx(30 * 512 / 96 + 50)
    assert results["end_to_end"]["exact"]["times_as_fast"] == pytest.approx((30 * 512 / 96 + 50) / 16)
    exact = results["end_to_end"]["exact"]
    assert exact["times_at_equal_rate"] == pytest.approx(exact["times_as_fast"])  # all runs have one rate here
    assert results["end_to_end"]["fast, measured"]["own_measure"]["relative"] == 0.015
    assert "From 32 pairs it estimates a median error of 1.5 % and a correlation of 0.99870" in (
        tmp_path / "engine.md"
    ).read_text(encoding="utf-8")


def test_a_run_on_a_gpu_has_results_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "device_name", lambda device: {"cuda:1": "A large GPU"}[device])
    engine.main(["--quick", "--device=cuda:1", "--dataset=controlled", f"--output={tmp_path}"], found_by)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["engine-cuda.json", "engine-cuda.md", "engine-cuda.png"]
    assert json.loads((tmp_path / "engine-cuda.json").read_text())["machine"]["gpu"] == "A large GPU"
    assert "A large GPU, " in (tmp_path / "engine-cuda.md").read_text(encoding="utf-8")


def test_a_device_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(SystemExit, match=r"^error: device is 'abacus'"):
        engine.main(["--quick", "--device=abacus", f"--output={tmp_path}"], found_by)


def test_main_stops_with_a_sentence_where_another_run_was_left(tmp_path, capsys):
    def stop(step):
        if step.func is worker.limits:
            raise KeyboardInterrupt
        return found_by(step)

    call = ["--quick", "--dataset=controlled", f"--output={tmp_path}"]
    with pytest.raises(KeyboardInterrupt):
        engine.main(call, stop)
    with pytest.raises(SystemExit, match=r"^error: .* holds an unfinished run with another scale"):
        engine.main([*call, "--rank=5"], found_by)
    engine.main([*call, "--rank=5", "--fresh"], found_by)
    assert json.loads((tmp_path / "engine.json").read_text())["scale"]["rank"] == 5


@pytest.mark.parametrize("scale", [engine.FULL, engine.QUICK])
def test_every_measured_encoder_is_trained(scale):
    steps = engine.plan(scale, Setup("controlled", 10, 1, "encoders"), 2, extrapolate=False)
    trained = steps["training"].args[1]
    runs = [run for step in steps.values() if step.func is worker.measure_each for run in step.args[1]]
    runs += [step.args[1] for step in steps.values() if step.func is worker.measure]
    assert {run.width for run in runs} | {steps["limits"].args[1]} == set(trained)
    assert max(run.images for run in runs) == scale.images
    assert all((run.rank is None) == (run.mode in ("exact", "kronfluence")) for run in runs)


@pytest.mark.parametrize("flag", ["--images", "--exact-images", "--rank", "--rounds"])
@pytest.mark.parametrize("value", ["0", "-1", "1.5"])
def test_wrong_numbers_are_refused_by_name(capsys, flag, value):
    with pytest.raises(SystemExit):
        engine.arguments([f"{flag}={value}"])
    assert f"argument {flag}: {value!r} is not a positive whole number" in capsys.readouterr().err


def test_fewer_images_than_a_measurement_takes_are_refused(capsys):
    with pytest.raises(SystemExit):
        engine.arguments(["--images=200"])
    assert "--images is 200, but other measurements take up to 256 of them" in capsys.readouterr().err
    assert engine.arguments(["--images=256"]).scale == replace(engine.FULL, images=256)


def test_a_quick_run_does_not_touch_the_committed_results(tmp_path):
    assert engine.arguments(["--quick"]).output == engine.QUICK_RESULTS
    assert engine.arguments(["--quick"]).extrapolate
    assert engine.arguments(["--quick", f"--output={tmp_path}"]).output == tmp_path
    assert engine.arguments([]).output == engine.RESULTS


def test_the_images_are_drawn_ones_where_no_others_are(tmp_path, monkeypatch):
    monkeypatch.delenv("INFLUENCE_DATA", raising=False)
    assert engine.default_dataset() == "controlled"
    monkeypatch.setenv("INFLUENCE_DATA", str(tmp_path))
    assert engine.default_dataset() == "controlled"


@pytest.mark.images
def test_the_images_are_real_ones_where_they_are(real_images):
    real_images("cifar10")
    assert engine.default_dataset() == "cifar10"


@pytest.fixture(scope="module")
def setup(tmp_path_factory):
    setup = Setup("controlled", 12, 1, str(tmp_path_factory.mktemp("encoders")))
    assert list(worker.train(setup, [2])) == ["2"]
    return setup


def test_kronfluence_and_ours_score_the_same_pairs_and_every_stage_is_timed(setup):
    names = ("fit_covariance_matrices", "compute_self_scores")
    methods = [getattr(reference.Analyzer, name) for name in names]
    ours, theirs = (worker.measure(setup, Run(mode, 7, 2)) for mode in ("exact", "kronfluence"))
    for found in (ours, theirs):
        assert set(found["seconds"]) == {COVARIANCES, EIGEN, MOMENTS, SCORES}
        assert min(found["seconds"].values()) > 0
        assert sum(found["seconds"].values()) <= found["total"] * (1 + 1e-9)
        assert found["memory"]["peak"] >= found["memory"]["before"] > 0
    np.testing.assert_allclose(ours["scores"], theirs["scores"], rtol=1e-4)
    assert [getattr(reference.Analyzer, name) for name in names] == methods


def test_the_fast_mode_is_the_same_with_and_without_its_measure(setup):
    alone, measured = (worker.measure(setup, Run(mode, 9, 2, 4)) for mode in ("fast", "fast, measured"))
    np.testing.assert_allclose(alone["scores"], measured["scores"], rtol=1e-5)
    assert set(alone["seconds"]) == {COVARIANCES, SCORES, EIGEN}
    assert (alone["deviation"], measured["deviation"]["rank"]) == (None, 4)


def test_the_batch_size_is_that_of_the_run_and_only_of_the_run(setup, monkeypatch):
    sizes = []
    batch = pairs.Pairs.batch
    monkeypatch.setattr(pairs.Pairs, "batch", lambda self, i: sizes.append(len(i)) or batch(self, i))
    found = worker.measure(setup, Run("logra", 10, 2, 2, layers=("backbone.layer1",), batch_size=4))
    assert sizes[-3:] == [4, 4, 2]
    assert pairs.BATCH_SIZE == 32
    assert len(found["scores"]) == 10


def test_a_series_has_one_run_that_does_not_count(setup, monkeypatch):
    ran = []
    monkeypatch.setattr(worker, "measure", lambda setup, run: ran.append(run) or measurement(run))
    runs = [Run("exact", 64, 2), Run("fast", 128, 2, 4)]
    found = worker.measure_each(setup, runs)
    assert ran == [replace(runs[0], images=32), *runs]
    assert [each["images"] for each in found] == [64, 128]
    assert not any("memory" in each for each in found)


def test_the_operations_of_the_encoder_are_those_of_both_passes_over_both_views():
    conv = nn.Conv2d(3, 4, 3, padding=1)
    net = nn.Sequential(conv, nn.Flatten(), nn.Linear(4 * 64, 5)).eval()
    source = worker.source_of(net, noise_images(2), torch.device("cpu"))
    forward = 2 * (64 * 27 * 4 + 4 * 64 * 5)  # multiplications and additions
    # the gradient with respect to the inputs takes as many, and there are two views
    assert worker.encoder_operations(source) == 2 * 2 * forward


def test_the_limits_add_up_the_layers(setup):
    found = worker.limits(setup, 2, 4)
    assert set(found["passes"]["exact"]) == {COVARIANCES, MOMENTS, SCORES}
    assert set(found["passes"]["fast"]) == {COVARIANCES, SCORES}
    assert found["passes"]["fast"][SCORES] < found["passes"]["exact"][SCORES]
    assert {"float32", found["fast_covariances"]} == set(found["rates"])
    assert min(found["rates"].values()) > 1e8
