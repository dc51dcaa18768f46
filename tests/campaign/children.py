"""Processes that can be lost: a job runs in one, and what became of it is told apart."""

import multiprocessing
import os
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Literal, Self

import torch

from influence_lib.book import BookError
from influence_lib.errors import InputError

# forked from a process that has imported the libraries and done nothing else, so that a start takes no seconds
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.campaign.victims", "tests.campaign.planted"])
SECONDS = 120.0  # more than any job takes


@dataclass(frozen=True)
class Ended:
    """How a call in another process ended.

    Attributes
    ----------
    how : str
        ``"done"``: `what` is the value; ``"refused"``: the sentence of an error that is meant for the user;
        ``"error"``: the traceback of any other; ``"lost"``: the process died; ``"hung"``: it took too long.
    what : Any
        See `how`.
    """

    how: Literal["done", "refused", "error", "lost", "hung"]
    what: Any


def attempt(function: Callable[..., Any], *arguments: Any) -> Ended:
    """Call a function and say how it ended."""
    try:
        return Ended("done", function(*arguments))
    except (InputError, BookError) as error:
        return Ended("refused", str(error))
    except BaseException:
        return Ended("error", traceback.format_exc())


def _prepare() -> None:
    """Make a new process quiet, with the kernels and so on that it starts, and let it have one thread."""
    torch.set_num_threads(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)


def _report(connection: Connection, function: Callable[..., Any], *arguments: Any) -> None:
    _prepare()
    connection.send(attempt(function, *arguments))


def _serve(connection: Connection) -> None:
    _prepare()
    while True:
        try:
            function, *arguments = connection.recv()
        except EOFError:
            return
        with warnings.catch_warnings(record=True) as caught:
            warnings.resetwarnings()
            for hidden in (DeprecationWarning, PendingDeprecationWarning, ResourceWarning, ImportWarning):
                warnings.simplefilter("ignore", hidden)
            ended = attempt(function, *arguments)
        # a warning of the library is a sentence for the user; one of another's code is none
        foreign = [str(warning.message) for warning in caught if "site-packages" in warning.filename]
        connection.send(Ended("error", f"warning of another library: {foreign[0]}") if foreign else ended)


class Child:
    """A call in a process of its own, under way."""

    def __init__(self, function: Callable[..., Any], *arguments: Any):
        self.receiver, sender = CONTEXT.Pipe(duplex=False)
        self.process = CONTEXT.Process(target=_report, args=(sender, function, *arguments))
        self.process.start()
        sender.close()  # so that the receiver notices when the process is gone

    def kill(self, after: float) -> bool:
        """Kill it with SIGKILL after some seconds and return whether it was still at work."""
        finished = self.receiver.poll(after)
        self.process.kill()
        self.process.join()
        return not finished

    def wait(self, seconds: float = SECONDS) -> Ended:
        """Return how it ended."""
        if not self.receiver.poll(seconds):
            self.kill(0)
            return Ended("hung", f"no end after {seconds:.0f} s")
        try:
            ended = self.receiver.recv()
        except EOFError:
            ended = None
        self.process.join()
        return ended or Ended("lost", f"the process ended with status {self.process.exitcode}")


class Server:
    """A process that answers one call after the other, and is replaced when it is lost."""

    def __enter__(self) -> Self:
        self.connection, other = CONTEXT.Pipe()
        self.process = CONTEXT.Process(target=_serve, args=(other,), daemon=True)
        self.process.start()
        other.close()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()

    def ask(self, function: Callable[..., Any], *arguments: Any, seconds: float = SECONDS) -> Ended:
        """Call a function there and return how it ended."""
        self.connection.send((function, *arguments))
        try:
            if self.connection.poll(seconds):
                return self.connection.recv()
            lost = Ended("hung", f"no end after {seconds:.0f} s")
        except EOFError:
            self.process.join()
            lost = Ended("lost", f"the process ended with status {self.process.exitcode}")
        self.__exit__()
        self.__enter__()
        return lost
