"""Several processes at once: one computes, all return the same bits, nobody fails."""

from tests.campaign.children import Child
from tests.campaign.trials import Reference, Trial, finished, worked, workspace


def together(what: str, expected: Reference, processes: int, once: bool = True) -> Trial:
    """Let processes do the same work in the same folder at the same time.

    Parameters
    ----------
    what : str
        Name of the work.
    expected : Reference
        Its undisturbed run.
    processes : int
        How many.
    once : bool
        Whether they share the work, so that it is done once.
    """
    with workspace() as folder:
        children = [Child(expected.job, folder) for _ in range(processes)]
        ends = [child.wait() for child in children]
        failures = [finished(ended, folder, expected) for ended in ends]
        times = worked(folder)
    failure = next(filter(None, failures), None)
    if failure is None and once and times != expected.worked:
        failure = f"worked {times} times, and alone {expected.worked} times"
    return Trial(f"{processes} processes", what, failure)
