"""Jobs for workers of Dask, which must be able to import them, and how one is killed amid them."""

import logging
import os
import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from unetflow.core.errors import DeclarationError, InputError
from unetflow.core.parallel import count_cores

PATIENCE = 60
"""Seconds after which nobody waits any longer."""


def pack(factor: int) -> Callable[[], int]:
    """Return what gives a number in another process."""
    return Constant(factor)


@dataclass(frozen=True)
class Constant:
    """Gives a number, or an error."""

    value: int

    def __call__(self) -> int:
        if self.value < 0:
            raise InputError("factor", "it is negative", "Give another one")
        return self.value


@dataclass(frozen=True)
class Multiply:
    """Multiplies numbers, and leaves a note each time that it begins to.

    Attributes:
        folder: Of the notes.
        hold: See `begin`.
        deadly: A number that ends its process.
    """

    folder: Path
    hold: int | None = None
    deadly: int | None = None

    @contextmanager
    def __call__(self, factor: int) -> Iterator[Callable[[int], int]]:
        yield lambda number: self._multiply(factor, number)
        (self.folder / f"over.{uuid.uuid4().hex}").touch()

    def _multiply(self, factor: int, number: int) -> int:
        begin(self.folder, str(number), self.hold)
        time.sleep(0.02)
        if number == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        if number < 0:
            raise DeclarationError(f"number {number}", "it is negative", "Give another one")
        return factor * number


@dataclass(frozen=True)
class CountCores:
    """Tells how many cores a network would take, in a worker that is quiet."""

    @contextmanager
    def __call__(self, factor: int) -> Iterator[Callable[[int], int]]:
        assert logging.getLogger("distributed.worker").getEffectiveLevel() == logging.CRITICAL
        assert os.environ["TF_NUM_INTRAOP_THREADS"] == str(count_cores())
        yield lambda number: count_cores()


@dataclass(frozen=True)
class Open:
    """Opens a file for each number."""

    name: str

    @contextmanager
    def __call__(self, factor: int) -> Iterator[Callable[[int], bytes]]:
        yield lambda number: Path(self.name).read_bytes()


def begin(folder: Path, task: str, hold: int | None = None) -> None:
    """Note that a task is begun, and by which process.

    Args:
        folder: Of the notes.
        task: What it is called.
        hold: The first task that is begun after so many others waits to be killed.
    """
    folder.mkdir(exist_ok=True)
    (folder / f"{task}.{os.getpid()}.{uuid.uuid4().hex}").touch()
    if hold is None or sum(read_notes(folder).values()) <= hold:
        return
    try:
        (folder / "claimed").mkdir()
    except FileExistsError:
        return
    (folder / f"held.{os.getpid()}").touch()
    time.sleep(PATIENCE)
    raise AssertionError("nobody has killed this process")


def read_notes(folder: Path) -> Counter[str]:
    """Return how often each task was begun."""
    return Counter(note.name.split(".")[0] for note in folder.glob("*.*.*"))


def find_processes(folder: Path, task: str = "*") -> set[int]:
    """Return the processes that have begun a task."""
    return {int(note.name.split(".")[1]) for note in folder.glob(f"{task}.*.*")}


class Killer(threading.Thread):
    """Kills the process that is held amid a task.

    Args:
        folder: Of the notes.
        count: Tells how many tasks are done.

    Attributes:
        victim: The process.
        done: How many tasks were done when it died.
    """

    def __init__(self, folder: Path, count: Callable[[], int]) -> None:
        super().__init__(daemon=True)
        self._folder, self._count = folder, count
        self.victim = self.done = 0

    def run(self) -> None:
        ends = time.monotonic() + PATIENCE
        while not (held := list(self._folder.glob("held.*"))) and time.monotonic() < ends:
            time.sleep(0.005)
        self.done = self._count()
        self.victim = int(held[0].suffix[1:])
        os.kill(self.victim, signal.SIGKILL)


def assert_only_the_victims_tasks_were_repeated(
    folder: Path, killer: Killer, tasks: Iterable[object], under_way: int
) -> None:
    """Hold the notes against what may happen.

    Args:
        folder: Of the notes.
        killer: Who has killed.
        tasks: What each was called.
        under_way: Tasks of one worker that are begun, or done and not yet with whoever wants them.
    """
    killer.join(PATIENCE)
    notes = read_notes(folder)
    repeated = [task for task, times in notes.items() if times > 1]
    assert killer.done > 0
    assert set(notes) == set(map(str, tasks))
    assert sum(notes.values()) - len(notes) == len(repeated)
    assert 1 <= len(repeated) <= under_way
    assert all(killer.victim in find_processes(folder, task) for task in repeated)
