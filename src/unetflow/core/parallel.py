"""Parallel calls in threads and processes, and the cores and memory of this process."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from multiprocessing import connection, get_context, parent_process
from typing import TypeVar

from unetflow.core.errors import InputError

Task = TypeVar("Task")
Result = TypeVar("Result")

_CALLS_PER_WORKER = 4
"""Pending calls per worker, so that no worker waits for the next one."""
_max_cores: int | None = None
"""See `limit_cores`."""


def count_cores() -> int:
    """Return the number of cores that this process may use."""
    affine = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if affine else os.cpu_count() or 1
    return cores if _max_cores is None else min(cores, _max_cores)


def limit_cores(count: int) -> None:
    """Limit the cores of this process, because others compute on the same machine.

    Call it before TensorFlow starts to compute. Existing environment variables are kept.
    """
    global _max_cores  # noqa: PLW0603 - a property of the process
    _max_cores = count
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(name, str(count))
    # Otherwise the first process takes all memory of a GPU.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")


def parallel_map(
    function: Callable[[Task], Result], tasks: Iterable[Task], threads: int, processes: int = 0
) -> Iterator[Result]:
    """Call a function for each task and yield the results as they come.

    Only a few calls are pending at a time, however many tasks there are. The additional processes
    take seconds to start; for them the function must be a module's own, and tasks and results
    must be picklable.

    Raises:
        InputError: A process was terminated from outside.
    """
    running: dict[futures.Future[Result], futures.Executor] = {}
    with ExitStack() as stack:
        pool: futures.Executor = stack.enter_context(futures.ThreadPoolExecutor(threads))
        free = [pool] * _CALLS_PER_WORKER * threads
        if processes:
            pool = futures.ProcessPoolExecutor(processes, get_context("spawn"), end_with_parent)
            free += [stack.enter_context(pool)] * _CALLS_PER_WORKER * processes

        def take_finished() -> Iterator[Result]:
            for future in futures.wait(running, return_when=futures.FIRST_COMPLETED).done:
                free.append(running.pop(future))
                yield future.result()

        try:
            for task in tasks:
                if not free:
                    yield from take_finished()
                executor = free.pop()
                running[executor.submit(function, task)] = executor
            while running:
                yield from take_finished()
        except BrokenProcessPool as error:
            raise InputError(
                "ingestion.workers",
                "a process that read images was ended from outside, perhaps for want of memory",
                "Set it to 1, or give the machine more memory, and run again",
            ) from error


def end_with_parent() -> None:
    """End this process when its parent is killed."""
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
