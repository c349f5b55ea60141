"""Calls of one function shared out among threads and, where that pays, processes."""

import ctypes
import os
import platform
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from multiprocessing import connection, get_context, parent_process
from typing import TypeVar

from unetflow.core.errors import InputError

Task = TypeVar("Task")
Result = TypeVar("Result")

_KEEP = {
    -1: 256 << 20,  # M_TRIM_THRESHOLD: free memory at the end of the heap that is kept
    -2: 16 << 20,  # M_TOP_PAD: by how much more than is needed the heap grows
    -3: 32 << 20,  # M_MMAP_THRESHOLD: smaller arrays lie on the heap
}
"""What malloc.h of glibc calls its parameters, and their values in bytes."""

_UNDER_WAY = 4
"""Calls for each worker that are handed out at a time, so that none waits for the next one."""


_most_cores: int | None = None
"""That this process shall use, see `limit_cores`."""


def count_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return cores if _most_cores is None else min(cores, _most_cores)


def limit_cores(count: int) -> None:
    """Let this process use no more than so many cores, as others compute on the same machine.

    It must be called before TensorFlow begins to compute. What is set in the environment stays.
    """
    global _most_cores  # noqa: PLW0603 - it is of the process
    _most_cores = count
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(name, str(count))
    # TensorFlow else takes all memory of a GPU for the first process.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")


def keep_freed_memory() -> None:
    """Let this process keep freed memory for its next arrays, 256 MB at most.

    The C library of Linux gives large arrays back to the system at once, and the next ones are paid
    for page by page: that was nearly half of an augmentation's time. Elsewhere nothing is done.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    library = ctypes.CDLL(None)
    for parameter, value in _KEEP.items():
        library.mallopt(parameter, value)


def parallel_map(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    threads: int,
    processes: int = 0,
) -> Iterator[Result]:
    """Call a function for each task and yield the results as they come.

    Few calls are under way at a time, however many tasks there are.

    Args:
        function: What to do. With processes, it must be one of a module's own, and tasks and
            results must be such that they can be sent.
        tasks: What it is called with.
        threads: Threads of this process that take part.
        processes: Further processes that do; they need seconds to start.

    Raises:
        InputError: A process was ended from outside.
    """
    running: dict[Future[Result], Executor] = {}
    with ExitStack() as stack:
        limits: dict[Executor, int] = {}
        if processes:
            pool = ProcessPoolExecutor(processes, get_context("spawn"), end_with_parent)
            limits[stack.enter_context(pool)] = _UNDER_WAY * processes
        limits[stack.enter_context(ThreadPoolExecutor(threads))] = _UNDER_WAY * threads
        try:
            for task in tasks:
                while (executor := _find_free(limits, running)) is None:
                    yield from _take_finished(running)
                running[executor.submit(function, task)] = executor
            while running:
                yield from _take_finished(running)
        except BrokenProcessPool as error:
            raise InputError(
                "ingestion.workers",
                "a process that read images was ended from outside, perhaps for want of memory",
                "Set it to 1, or give the machine more memory, and run again",
            ) from error


def _find_free(
    limits: dict[Executor, int], running: dict[Future[Result], Executor]
) -> Executor | None:
    """Return the first executor that can take another call."""
    busy = list(running.values())
    return next((e for e, limit in limits.items() if busy.count(e) < limit), None)


def _take_finished(running: dict[Future[Result], Executor]) -> Iterator[Result]:
    """Wait for a result at least, and yield all that are there."""
    finished, _ = wait(running, return_when=FIRST_COMPLETED)
    for future in finished:
        del running[future]
        yield future.result()


def end_with_parent() -> None:
    """See to it that a process does not outlive a killed parent, which nothing else tells it."""
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
