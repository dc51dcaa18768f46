"""The parts of the benchmarks that can be wrong without a run showing it."""

import json
import os
import sys

import pytest
import torch

from bench import _shared, attribution, duplicates, pretrain


def results(**changes):
    speeds = {"median": 60.0, "min": 55.5, "max": 61.0, "values": [55.5, 60.0, 61.0]}
    return {
        "machine": {
            "processor": "Test CPU",
            "threads": 2,
            "bfloat16_in_hardware": True,
            "versions": {"torch": "2.14.1"},
        },
        "batch_size": 256,
        "solo_skipped": None,
        "trainers": {"ours": speeds, "solo 32": {**speeds, "median": 12.0}},
        "ours_times_as_fast_as": {"solo 32": {"of_medians": 5.0, "min": 4.5, "max": 5.25}},
        "solo_workers": {"tried": {"0": speeds}, "best": 0},
        "widths": {"16": speeds},
        "methods": {"simclr": speeds, "byol": {**speeds, "median": 7.5}},
        "simclr_times_as_fast_as": {"simclr": {"of_medians": 1.0}, "byol": {"of_medians": 8.0}},
        "augmentation": {"kornia": speeds},
        **changes,
    }


def test_ratio_pairs_the_rounds_and_takes_medians():
    ours, theirs = [[10.0, 12.0, 90.0], [20.0, 20.0, 20.0]], [[4.0, 4.0, 4.0], [5.0, 5.0, 1.0]]
    # medians 12/4 and 20/5; over all rounds 20/4
    assert _shared.ratio(ours, theirs) == {"of_medians": 5.0, "min": 3.0, "max": 4.0}


def test_ratio_refuses_rounds_without_a_partner():
    with pytest.raises(ValueError, match="zip"):
        _shared.ratio([[1.0]], [[1.0], [2.0]])


def test_summary_keeps_every_value():
    assert pretrain.summary([3.0, 1.0, 2.0]) == {
        "median": 2.0,
        "min": 1.0,
        "max": 3.0,
        "values": [3.0, 1.0, 2.0],
    }


def test_report_says_the_ratio_and_what_was_compared():
    text = pretrain.report(json.loads(json.dumps(results())))
    assert "**5.00 times** as fast as solo-learn as it comes, float32, 0 data workers (4.50 to 5.25" in text
    assert "| ours, bfloat16 | 60 | 55.5–61 |" in text
    assert "| byol | 7.5 | 55.5–61 | 8.00 |" in text
    assert "not measured" not in text


def test_report_names_the_precision_that_ran():
    machine = {**results()["machine"], "bfloat16_in_hardware": False}
    assert "| ours, float32 |" in pretrain.report(results(machine=machine))


def test_report_without_solo_learn_gives_the_reason_and_no_ratio():
    speeds = results()["trainers"]["ours"]
    text = pretrain.report(
        results(
            trainers={"ours": speeds},
            ours_times_as_fast_as={},
            solo_workers={"tried": {}, "best": None},
            solo_skipped="no matching distribution",
        )
    )
    assert "solo-learn was not measured: no matching distribution" in text
    assert "times** as fast" not in text


def test_write_replaces_whole_files_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "new" / "pretrain.json"
    _shared.write(path, "a longer first text")
    _shared.write(path, "second")
    assert path.read_text() == "second"
    assert [p.name for p in path.parent.iterdir()] == ["pretrain.json"]


def test_a_failed_command_is_reported_with_its_last_line():
    code = "import sys; sys.exit('first line\\nERROR: No matching distribution')"
    with pytest.raises(pretrain.SoloUnavailableError, match=r"^ERROR: No matching distribution$"):
        pretrain.run([sys.executable, "-c", code])


def test_a_silent_failure_is_reported_with_its_status():
    with pytest.raises(pretrain.SoloUnavailableError, match="exit status 3"):
        pretrain.run([sys.executable, "-c", "raise SystemExit(3)"])


@pytest.mark.parametrize("flag", ["--steps", "--rounds", "--batch-size", "--widths"])
@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5"])
def test_wrong_numbers_are_refused_by_name(capsys, flag, value):
    with pytest.raises(SystemExit) as stop:
        pretrain.arguments([f"{flag}={value}"])
    assert stop.value.code == 2
    assert f"argument {flag}: {value!r} is not a positive whole number" in capsys.readouterr().err


@pytest.mark.parametrize("library", ["kornia", "torchvision"])
def test_both_augmentations_draw_parameters_for_every_image(library):
    image = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    views = getattr(pretrain, f"{library}_views")(pretrain.AugmentationSettings())(image.expand(8, -1, -1, -1))
    assert views.shape == (8, 3, 32, 32)
    assert len({view.numpy().tobytes() for view in views}) == 8


def test_the_cost_of_attribution_is_medians_of_seconds_and_the_largest_memory():
    by_count = {
        "1": {"seconds": [1.0, 3.0, 2.0], "mib": [1, 2, 3]},
        "100": {"seconds": [9.0, 8.0, 7.0], "mib": [5, 1500, 7]},
    }
    shared = {"images": 5000, "width": 16, "targets": [1, 100], "rounds": 3, "machine": results()["machine"]}
    table = attribution.report({**shared, "ways": {"TRAK (traker)": by_count}})
    assert "| TRAK (traker) | 2.00 | 8.00 | 1,500 |" in table
    assert "5,000 images, a ResNet-9 of width 16; medians of 3 rounds on Test CPU" in table


def test_every_way_of_the_benchmark_attributes():
    for way in attribution.WAYS:
        seconds, mib = attribution._measured(way, 60, 2, 2, 8)
        assert seconds > 0
        assert mib >= 0


def test_the_cost_of_looking_for_duplicates_is_medians_of_seconds_and_the_largest_memory():
    runs = {"gives": "pairs", "seconds": [1.0, 3.0, 2.0], "mib": [5, 1500, 7]}
    shared = {"images": 2000, "width": 16, "rounds": 3, "machine": results()["machine"]}
    table = duplicates.report({**shared, "ways": {"cleanvision": runs}})
    assert "| cleanvision | pairs | 2.00 | 1,500 |" in table
    assert "2,000 images, copies and outliers planted among them; an encoder of width 16; medians of 3 rounds" in table


@pytest.mark.parametrize("way", duplicates.WAYS)
def test_every_way_of_looking_for_duplicates_runs(way):
    seconds, mib = duplicates._measured(way, 40, 2)
    assert seconds > 0
    assert mib >= 0


def test_work_is_measured_with_its_memory_in_a_process_of_its_own():
    seconds, mib = _shared.in_its_own_process(_held, 64)
    assert 0 < seconds < 60
    assert 60 < mib < 200
    assert _shared.in_its_own_process(_held, 1)[1] < mib


def _held(mebibytes):
    return _shared.costs(lambda: bytearray(os.urandom(1) * (mebibytes * 2**20)))
