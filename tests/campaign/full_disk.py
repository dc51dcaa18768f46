"""A full disk: the work ends in one sentence, leaves nothing in part, and goes on when there is room."""

import errno
import os
import random
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.campaign.children import Child
from tests.campaign.trials import Reference, Trial, empty_folder, finished, refused, stopped, workspace
from tests.campaign.work import Job, prepare

MIB = 1 << 20
FILES = 256  # of the small disk
BALLAST = ".ballast"
LIMIT = 2000  # bytes: every job has a file that is larger
ROOM_FOR_LOG = 100  # bytes: the campaign's own log of how often a job worked


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """Yield the folder of a disk of its own, in memory.

    Raises
    ------
    PermissionError
        If this user may not mount one.
    """
    with empty_folder() as folder:
        size = f"size={megabytes}m,nr_inodes={FILES}"
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder], capture_output=True, check=False
        )
        if mounted.returncode:
            raise PermissionError(errno.EPERM, "no disk can be mounted here")
        try:
            prepare(folder)
            yield folder
        finally:
            subprocess.run(["umount", "-l", folder], check=True)


def fill(folder: Path, free: int) -> None:
    """Leave this many bytes of the disk free."""
    state = os.statvfs(folder)
    with (folder / BALLAST).open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, state.f_bavail * state.f_frsize - free)


def fill_files(folder: Path, free: int) -> None:
    """Leave room for this many files and folders, however small."""
    (folder / BALLAST).touch()
    for number in range(os.statvfs(folder).f_favail - free):
        os.link(folder / BALLAST, folder / f"{BALLAST}{number}")


def make_room(folder: Path) -> None:
    """Take away what filled the disk."""
    for file in folder.glob(f"{BALLAST}*"):
        file.unlink()


def limited(job: Job, size: int, folder: Path) -> object:
    """Do a job in a process that cannot write files beyond a size: what stands for a full disk without one."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    return job(folder)


def full_disk(what: str, expected: Reference, count: int, rng: random.Random) -> Iterator[Trial]:
    """Yield trials on a disk with too little room, in bytes or in files; and with a limit on the size of files.

    Parameters
    ----------
    what : str
        Name of the work.
    expected : Reference
        Its undisturbed run, from whose size the room is drawn.
    count : int
        How many trials of each way.
    rng : random.Random
        Draws the room.
    """
    for _ in range(count):
        yield _limit(what, expected, rng)
    try:
        for number in range(count):
            yield _disk(what, expected, rng, by_files=number % 2 == 1)
    except PermissionError:
        return


def _limit(what: str, expected: Reference, rng: random.Random) -> Trial:
    """Try a limit on the size of files: below that of some, so that these cannot be written."""
    with workspace() as folder:
        size = rng.randrange(ROOM_FOR_LOG, LIMIT)
        failure = _refused_then_finished(expected, folder, Child(limited, expected.job, size, folder))
    return Trial("full disk", f"{what}, limited files", failure)


def _disk(what: str, expected: Reference, rng: random.Random, by_files: bool) -> Trial:
    """Try a disk of which half of what is needed is free, or less."""
    with small_disk(4 * expected.size // MIB + 16) as folder:
        if by_files:
            fill_files(folder, rng.randrange(max(1, len(expected.kept))))
        else:
            fill(folder, rng.randrange(expected.size // 2) // 4096 * 4096)
        failure = _refused_then_finished(expected, folder, Child(expected.job, folder))
    return Trial("full disk", f"{what}, {'no more files' if by_files else 'no more bytes'}", failure)


def _refused_then_finished(expected: Reference, folder: Path, child: Child) -> str | None:
    """Return what is wrong with work that met a full disk, and that went on when there was room, or None."""
    failure = refused(child.wait(), folder) or stopped(folder)
    make_room(folder)
    return failure or finished(Child(expected.job, folder).wait(), folder, expected)
