import subprocess
import sys

import pytest

from influence_lib.cli import main


@pytest.mark.parametrize(
    "command", [["data", "list"], ["encoders"], ["results"], ["theory", "lemma1"], ["book", "--help"]]
)
def test_every_command_runs_as_a_module(command, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "influence_lib", *command], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_wrong_input_is_one_sentence_and_status_2(capsys):
    assert main(["results", "--kind", "nothing"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: --kind is 'nothing', but it must be ")
    assert error.count("\n") == 1


def test_a_command_is_needed(capsys):
    with pytest.raises(SystemExit, match="2"):
        main([])
    assert "data" in capsys.readouterr().err
