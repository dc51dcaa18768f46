"""The campaign's own machinery: each kind of trial notices the fault that it is there to notice."""

import json
import random

import pytest

from tests.campaign import full_disk, mutations, planted, victims
from tests.campaign.kills import kill
from tests.campaign.report import report, results
from tests.campaign.together import together
from tests.campaign.trials import Trial, no_sentence, reference


class Late(random.Random):
    """Draws times near the end."""

    def uniform(self, least, most):
        return least + 0.7 * (most - least)


@pytest.mark.parametrize(
    ("job", "said"),
    [(planted.careful, None), (planted.in_place, "is damaged"), (planted.forgetful, "another value was returned")],
)
def test_kills_notice_what_is_half_written_under_its_final_name_and_other_bits(job, said):
    (trial,) = kill("work", reference(job), 1, Late())
    assert (trial.failure is None) if said is None else (said in trial.failure)


def test_processes_that_do_not_share_their_work_are_noticed():
    assert together("work", reference(planted.careful), 3).failure is None
    assert together("work", reference(planted.unlocked), 3).failure


def test_a_full_disk_ends_in_a_sentence_and_other_ends_are_noticed():
    rng = random.Random(0)
    assert full_disk._limit("work", reference(planted.careful), rng).failure is None
    assert "OSError" in str(full_disk._limit("work", reference(planted.traced), rng).failure)
    assert "is damaged" in str(full_disk._limit("work", reference(planted.half_written), rng).failure)


def test_files_that_are_read_or_refused_pass_and_other_ends_are_noticed_and_kept(tmp_path):
    expected = {
        planted.refuses: None,
        planted.reads: None,
        planted.reads_nonsense: "images of shape",
        planted.names_nothing: "does not name a.png",
        planted.says_two_lines: "more than one line",
        planted.raises: "KeyError",
        planted.warns: "warning of another library: odd",
        planted.dies: "status -11",
        planted.hangs: "no end after 2 s",
    }
    templates, kept = tmp_path / "templates", tmp_path / "kept"
    (templates / "images").mkdir(parents=True)
    kept.mkdir()
    for name in ("a.png", "b.png"):
        (templates / "images" / name).write_bytes(name.encode() * 20)
    group = [victims.Victim("file", ("images/a.png",), "a.png", read) for read in expected]
    trials = list(mutations.mutations(group, templates, len(group), 3, kept, seconds=2))
    for trial, said in zip(trials, expected.values(), strict=True):
        assert (trial.failure is None) if said is None else (said in trial.failure), trial
    failed = [trial.label for trial in trials if trial.failure]
    assert sorted(path.name for path in kept.iterdir()) == sorted([*failed, *(f"{label}.txt" for label in failed)])
    assert trials[2].label == "file-3-2"
    assert (kept / "file-3-2" / "a.png").read_bytes() != (templates / "images" / "a.png").read_bytes()


def test_every_way_of_damage_changes_the_file_and_its_label_makes_it_again():
    data = bytes(range(256)) * 8
    for label in map(str, range(200)):
        damaged = mutations.mutated(data, random.Random(label), [b"other" * 100])
        assert damaged != data
        assert damaged == mutations.mutated(data, random.Random(label), [b"other" * 100])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a.png is damaged.", None),
        ("a.png is damaged (no data).", None),
        ("b.png is damaged.", "does not name a.png"),
        ("a.png is damaged.\nMore.", "more than one line"),
        ("a.png", "no sentence"),
    ],
)
def test_what_counts_as_a_sentence(text, said):
    found = no_sentence(text, "a.png")
    assert found is None if said is None else said in found


def test_the_report_counts_every_trial_and_names_what_failed(tmp_path):
    trials = [
        Trial("kill", "the store", in_writing=True),
        Trial("kill", "the store", f"error: Traceback\n  File\nKeyError: {tmp_path}/x"),
        Trial("damaged file", "image", None, label="image-0-1"),
    ]
    found = json.loads(json.dumps(results(trials, tmp_path)))
    assert found["trials"] == [
        {"kind": "kill", "what": "the store", "number": 2, "in_writing": 1, "passed": 1, "failed": 1},
        {"kind": "damaged file", "what": "image", "number": 1, "in_writing": 0, "passed": 1, "failed": 0},
    ]
    machine = {"processor": "Test CPU", "threads": 1, "versions": {"torch": "2.14.1"}}
    text = report({"machine": machine, "seed": 0, "minutes": 7.2, **found})
    assert "| kill: the store | 2 | 1 | 1 |" in text
    assert "| all | 3 | 2 | 1 |" in text
    assert "Of the 2 kills 1 left something half-written" in text
    assert "`KeyError: ./x`" in text
    assert str(tmp_path) not in text
