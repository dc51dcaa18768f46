import errno
import json
import os
import subprocess
import sys
import textwrap

import pytest

import influence_lib
from influence_lib.cli import COMMANDS, main


@pytest.mark.parametrize(
    "command", [["data", "list"], ["encoders"], ["results"], ["theory", "lemma1"], ["book", "--help"]]
)
def test_every_command_runs_as_a_module(command, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "influence_lib", *command], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("words", [["--version"], ["--help"], *([name, "--help"] for name in COMMANDS)])
def test_help_and_version_import_nothing_but_the_standard_library(words):
    done = subprocess.run(
        [sys.executable, "-m", "influence_lib", *words],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPROFILEIMPORTTIME": "1"},
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "argparse" in imported
    assert not {"torch", "numpy", "pandas", "sympy", "yaml"} & imported
    ours = {name for name in imported if name.startswith("influence_lib")}
    assert ours == {"influence_lib", "influence_lib.checkout", "influence_lib.cli", "influence_lib.errors"}


def test_the_ledger_is_read_without_torch():
    script = """
    import sys
    from influence_lib.cli import main
    status = main(["ledger", "--json"])
    sys.exit(status or "torch" in sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)


def test_help_lists_every_command(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    out = capsys.readouterr().out
    assert all(f"\n    {name} " in out for name in COMMANDS)


def test_the_version_is_said(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"influence-ssl-companion {influence_lib.__version__}\n"


def test_wrong_input_is_one_sentence_and_status_2(capsys):
    assert main(["results", "--kind", "nothing"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: --kind is 'nothing', but it must be ")
    assert error.count("\n") == 1


@pytest.mark.parametrize(("number", "status"), [(errno.ENOSPC, 1), (errno.EACCES, 1)])
def test_what_the_machine_refuses_is_one_sentence(number, status, capsys, monkeypatch):
    def full(arguments):
        raise OSError(number, os.strerror(number), "page.md")

    monkeypatch.setattr("influence_lib.results.results", full)
    assert main(["results"]) == status
    assert capsys.readouterr().err == f"error: page.md cannot be written ({os.strerror(number)}).\n"


def test_other_errors_of_the_system_keep_their_traceback(monkeypatch):
    def missing(arguments):
        raise FileNotFoundError(errno.ENOENT, "No such file", "page.md")

    monkeypatch.setattr("influence_lib.results.results", missing)
    with pytest.raises(FileNotFoundError):
        main(["results"])


@pytest.mark.parametrize("words", [[], ["nothing"], ["--nothing"]])
def test_a_command_is_needed(words, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(words)
    assert "data" in capsys.readouterr().err
