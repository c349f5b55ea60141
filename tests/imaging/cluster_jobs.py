"""Jobs for workers of Dask, which must be able to import them, and tests' view of the workers."""

import os
import signal
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from unetflow.imaging.errors import DeclarationError, InputError


def pack(factor: int) -> Callable[[], int]:
    """Return what makes a number in another process."""
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
    """Multiplies numbers, and leaves a file each time that it begins to.

    Attributes:
        folder: Of the files; their names hold the number and the process.
        seconds: That it takes.
        deadly: A number that ends its process.
    """

    folder: Path
    seconds: float = 0.0
    deadly: int | None = None

    @contextmanager
    def __call__(self, factor: int) -> Iterator[Callable[[int], int]]:
        yield lambda number: self._multiply(factor, number)
        (self.folder / f"over.{uuid.uuid4().hex}").touch()

    def _multiply(self, factor: int, number: int) -> int:
        leave_note(self.folder, str(number))
        time.sleep(self.seconds)
        if number == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        if number < 0:
            raise DeclarationError(f"number {number}", "it is negative", "Give another one")
        return factor * number


def leave_note(folder: Path, task: str) -> None:
    """Note that a task is begun, and by which process."""
    (folder / f"{task}.{os.getpid()}.{uuid.uuid4().hex}").touch()


def read_notes(folder: Path) -> Counter[str]:
    """Return how often each task was begun."""
    return Counter(note.name.split(".")[0] for note in folder.glob("*.*.*"))


def find_processes(folder: Path) -> set[int]:
    """Return the processes that have begun a task."""
    return {int(note.name.split(".")[1]) for note in folder.glob("*.*.*")}


def kill_one_amid(folder: Path) -> int:
    """Kill a worker that has begun a task not long ago, and return its number."""
    latest = max(folder.glob("*.*.*"), key=lambda note: note.stat().st_mtime_ns)
    process = int(latest.name.split(".")[1])
    os.kill(process, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(process)] if psutil.pid_exists(process) else [], 10)
    return process
