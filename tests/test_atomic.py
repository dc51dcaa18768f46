"""What is written whole is there as a whole or not at all."""

import pytest

from influence_lib.atomic import written_whole


def write_file(path):
    path.write_text("new")


def write_folder(path):
    path.mkdir()
    (path / "part").write_text("new")


def write_and_fail(target, write):
    with written_whole(target) as partial:
        write(partial)
        raise ZeroDivisionError


@pytest.mark.parametrize("write", [write_file, write_folder])
def test_it_is_there_when_the_block_has_ended_and_not_before(tmp_path, write):
    target = tmp_path / "below" / "target"
    with written_whole(target) as partial:
        write(partial)
        assert not target.exists()
        assert partial.parent == target.parent
    assert target.exists()
    assert [*target.parent.iterdir()] == [target]


@pytest.mark.parametrize("write", [write_file, write_folder])
def test_nothing_is_left_of_a_block_that_fails(tmp_path, write):
    target = tmp_path / "target"
    with pytest.raises(ZeroDivisionError):
        write_and_fail(target, write)
    assert not [*tmp_path.iterdir()]


def test_a_file_that_was_there_stays_when_the_block_fails_and_is_replaced_when_it_ends(tmp_path):
    target = tmp_path / "target"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError):
        write_and_fail(target, write_file)
    assert target.read_text() == "old"
    with written_whole(target) as partial:
        write_file(partial)
    assert target.read_text() == "new"


@pytest.mark.parametrize("write", [write_file, write_folder])
def test_what_a_killed_run_left_is_no_hindrance(tmp_path, write):
    left = tmp_path / "left"
    write_folder(left)
    with written_whole(tmp_path / "target", left) as partial:
        assert partial == left
        write(partial)
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
