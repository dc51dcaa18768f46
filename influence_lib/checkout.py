"""Where this library runs from: its checkout, and the state of it."""

import subprocess
from pathlib import Path
from typing import Any

__all__ = ["git_state", "repository"]


def repository(root: str | Path | None = None) -> Path:
    """Return the folder that holds ``results/`` and ``artifacts/``.

    Parameters
    ----------
    root : path, optional
        Taken as it is. By default the checkout that this library runs from, or, where the library is
        installed without one, the current directory.

    Examples
    --------
    >>> (repository() / "results").name
    'results'
    """
    if root is not None:
        return Path(root)
    checkout = Path(__file__).resolve().parent.parent
    return checkout if (checkout / "pyproject.toml").is_file() else Path.cwd()


def git_state(root: str | Path | None = None) -> dict[str, Any]:
    """Return ``{"commit": hash, "dirty": bool}`` of a checkout, both None where there is no git.

    Examples
    --------
    >>> sorted(git_state())
    ['commit', 'dirty']
    """
    git = ["git", "-C", str(repository(root))]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        status = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}
    return {"commit": commit.stdout.strip(), "dirty": bool(status.stdout.strip())}
