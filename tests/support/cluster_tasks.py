"""Functions for the workers of a Dask cluster, and a thread that kills a worker."""

import logging
import os
import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.support.waiting import LIMIT
from unetflow.core.errors import DeclarationError, InputError
from unetflow.core.parallel import count_cores
from unetflow.inference.executor import TaskFunction


def serialise(factor: int) -> Callable[[], int]:
    """Return a picklable function that returns the factor."""
    return LoadFactor(factor)


@dataclass(frozen=True)
class LoadFactor:
    """Returns a factor, or raises an error if it is negative."""

    value: int

    def __call__(self) -> int:
        if self.value < 0:
            raise InputError("factor", "it is negative", "Give another one")
        return self.value


@dataclass(frozen=True)
class Multiply(TaskFunction[int, int, int]):
    """Multiplies numbers by the factor, and writes a note whenever it starts.

    Attributes:
        folder: Of the notes.
        hold: See `begin`.
        deadly: A number that kills its process.
    """

    folder: Path
    hold: int | None = None
    deadly: int | None = None

    def __call__(self, context: int, task: int) -> int:
        begin(self.folder, str(task), self.hold)
        time.sleep(0.02)
        if task == self.deadly:
            time.sleep(5)  # a nanny restarts no worker that dies before it has noticed the start
            os.kill(os.getpid(), signal.SIGKILL)
        if task < 0:
            raise DeclarationError(f"number {task}", "it is negative", "Give another one")
        return context * task

    def close(self) -> None:
        (self.folder / f"closed.{uuid.uuid4().hex}").touch()


class CountCores(TaskFunction[int, int, int]):
    """Returns the number of cores that a network would use in a worker."""

    def __call__(self, context: int, task: int) -> int:
        assert logging.getLogger("distributed.worker").getEffectiveLevel() == logging.CRITICAL
        assert os.environ["TF_NUM_INTRAOP_THREADS"] == str(count_cores())
        return count_cores()


class UnpicklableError(Exception):
    """An error that cannot be pickled."""

    def __init__(self) -> None:
        super().__init__(threading.Lock())


@dataclass(frozen=True)
class Fail(TaskFunction[int, int, int]):
    """Raises an error that is the fault of no task.

    Attributes:
        error: The type of the error.
    """

    error: type[Exception]

    def __call__(self, context: int, task: int) -> int:
        raise self.error


@dataclass(frozen=True)
class FailFromUnpicklable(TaskFunction[int, int, int]):
    """Raises an `InputError` whose cause cannot be pickled."""

    def __call__(self, context: int, task: int) -> int:
        raise InputError("number", "it fails", "Give another one") from UnpicklableError()


def begin(folder: Path, task: str, hold: int | None = None) -> None:
    """Write a note that this process starts a task.

    Args:
        folder: Of the notes.
        task: Name of the task.
        hold: The first task that starts after so many others waits until its process is killed.
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
    time.sleep(LIMIT)
    raise AssertionError("this process was not killed")


def read_notes(folder: Path) -> Counter[str]:
    """Return how often each task was started."""
    return Counter(note.name.split(".")[0] for note in folder.glob("*.*.*"))


def find_processes(folder: Path, task: str = "*") -> set[int]:
    """Return the processes that have started a task."""
    return {int(note.name.split(".")[1]) for note in folder.glob(f"{task}.*.*")}


class Killer(threading.Thread):
    """Kills the process that waits in a task; see `begin`.

    Args:
        folder: Of the notes.
        count: Returns how many tasks are done.

    Attributes:
        victim: The process; 0 where none has waited in time.
        done: How many tasks were done when it was killed.
    """

    def __init__(self, folder: Path, count: Callable[[], int]) -> None:
        super().__init__(daemon=True)
        self._folder, self._count = folder, count
        self.victim = self.done = 0

    def run(self) -> None:
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            for note in self._folder.glob("held.*"):
                self.done = self._count()
                self.victim = int(note.suffix[1:])
                os.kill(self.victim, signal.SIGKILL)
                return
            time.sleep(0.005)


def assert_only_tasks_of_the_victim_were_repeated(
    folder: Path, killer: Killer, tasks: Iterable[object], limit: int
) -> None:
    """Check the notes of a run in which a worker was killed.

    Args:
        folder: Of the notes.
        killer: The thread that killed the worker.
        tasks: Names of all tasks.
        limit: Largest number of tasks that one worker has at a time, running or with a result that
            is not collected yet.
    """
    killer.join(LIMIT)
    notes = read_notes(folder)
    repeated = [task for task, times in notes.items() if times > 1]
    assert killer.victim
    assert killer.done > 0
    assert set(notes) == set(map(str, tasks))
    assert sum(notes.values()) - len(notes) == len(repeated)
    assert 1 <= len(repeated) <= limit
    assert all(killer.victim in find_processes(folder, task) for task in repeated)
