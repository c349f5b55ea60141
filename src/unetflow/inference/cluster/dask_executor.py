"""Calls of one function shared out among the workers of Dask."""

import logging
import pickle
import time
import uuid
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Generic

import distributed
from distributed import Client, Future, KilledWorker

from unetflow.core.errors import InputError
from unetflow.inference.cluster.connection import connect
from unetflow.inference.cluster.worker import (
    Failure,
    UnfitWorkerError,
    WorkerSetup,
    call_prepared,
    find_versions,
)
from unetflow.inference.executor import (
    Context,
    Executor,
    ExecutorSettings,
    Job,
    Prepare,
    Result,
    Task,
)

_log = logging.getLogger(__name__)

_UNDER_WAY = 2
"""Calls for each worker that are handed out at a time, so that none waits for the next one."""
_PATIENCE = 60
"""Seconds without any worker after which nothing more is waited for."""
_LOOK = 2
"""Seconds after which somebody looks whether there are workers."""


@contextmanager
def open_dask_executor(
    settings: ExecutorSettings, prepare: Prepare[Context]
) -> Iterator[Executor[Context]]:
    """Get workers ready, and let go of them at the end.

    Args:
        settings: Which workers.
        prepare: Makes what all jobs share, in each worker.

    Raises:
        InputError: They cannot be used.
    """
    here = settings.scheduler is None
    with connect(settings) as client:
        name = f"unetflow-{uuid.uuid4().hex}"
        preparation = WorkerSetup(prepare, find_versions(), Path.cwd() if here else None)
        try:
            client.register_plugin(preparation, name)
        except (ImportError, AttributeError, pickle.UnpicklingError) as error:
            raise InputError(
                "scheduler",
                f"a worker cannot read what it is given ({error})",
                "Give all workers the environment of this process",
            ) from error
        try:
            yield DaskExecutor(client, name, sees_files=here)
        finally:
            if not here and client.status == "running":
                client.unregister_worker_plugin(name)


class DaskExecutor(Executor[Context]):
    """Calls a function in the workers of Dask.

    Args:
        client: Of the cluster.
        preparation: The name under which its workers have a `WorkerSetup`.
        sees_files: See `Executor`.
    """

    def __init__(self, client: Client, preparation: str, sees_files: bool) -> None:
        self._client, self._preparation = client, preparation
        self.sees_files = sees_files

    def call_each(
        self,
        job: Job[Context, Task, Result],
        tasks: Iterable[Task],
        *,
        in_order: bool = True,
    ) -> Iterator[tuple[Task, Result | InputError]]:
        """See `Executor`."""
        calls: _Calls[Task, Result] = _Calls(self._client, self._preparation, job, tasks)
        try:
            yield from calls.take(in_order)
        except UnfitWorkerError as error:
            raise error.failure.restore() from error
        finally:
            calls.give_up()


@contextmanager
def _noticing_loss() -> Iterator[None]:
    """Raise an `InputError` where nobody answers any more."""
    try:
        yield
    except (CancelledError, OSError) as error:
        raise _lost(error) from error


def _lost(error: Exception) -> InputError:
    return InputError(
        "scheduler",
        f"the connection to the scheduler was lost ({error})",
        "Look what became of it, and start again",
    )


@dataclass(frozen=True)
class _Call(Generic[Task]):
    """A call that is under way.

    Attributes:
        number: Of the task.
        task: What it is called with.
        alone: Whether nothing else is under way, so that the death of a worker is its own fault.
    """

    number: int
    task: Task
    alone: bool = False


class _Calls(Generic[Task, Result]):
    """The calls of one job.

    When Dask gives a task up because workers died while they had it, another task of theirs may
    have been the reason. So it is tried once more, while nothing else is.
    """

    def __init__(
        self, client: Client, preparation: str, job: Job[Any, Task, Result], tasks: Iterable[Task]
    ) -> None:
        self._client = client
        self._name = f"unetflow-{uuid.uuid4().hex}"
        self._arguments = preparation, self._name, job
        self._waiting = enumerate(tasks)
        self._under_way: dict[Future, _Call[Task]] = {}
        self._suspects: deque[_Call[Task]] = deque()
        self._done: dict[int, tuple[Task, Result | InputError]] = {}
        self._workers: set[str] = set()
        self._seen = time.monotonic()

    def take(self, in_order: bool) -> Iterator[tuple[Task, Result | InputError]]:
        """Yield all tasks with their results; see `Executor.call_each`."""
        following = 0
        while True:
            self._hand_out()
            first = following if in_order else next(iter(self._done), None)
            if first in self._done:
                following += 1
                yield self._done.pop(first)
            elif self._under_way:
                for future in self._wait():
                    self._collect(future)
            else:
                return

    def give_up(self) -> None:
        """Cancel what is under way."""
        if self._under_way and self._client.status == "running":
            self._client.cancel(list(self._under_way))
        self._under_way.clear()

    def _hand_out(self) -> None:
        """Submit as many calls as there is room for."""
        self._look_at_workers()
        if self._suspects or any(call.alone for call in self._under_way.values()):
            if not self._under_way:
                self._submit(replace(self._suspects.popleft(), alone=True))
            return
        room = _UNDER_WAY * max(1, len(self._workers)) - len(self._under_way) - len(self._done)
        for number, task in islice(self._waiting, max(room, 0)):
            self._submit(_Call(number, task))

    def _submit(self, call: _Call[Task]) -> None:
        key = f"{self._name}-{call.number}-{call.alone}"
        with _noticing_loss():
            future = self._client.submit(
                call_prepared, *self._arguments, call.task, key=key, pure=False
            )
        self._under_way[future] = call

    def _wait(self) -> set[Future]:
        """Return what is done, as soon as anything is."""
        while True:
            try:
                with self._client.as_current():
                    done: set[Future] = distributed.wait(
                        list(self._under_way), timeout=_LOOK, return_when="FIRST_COMPLETED"
                    ).done
                return done
            except TimeoutError:  # of the wait alone; it is an OSError too
                self._look_at_workers()
            except (CancelledError, OSError) as error:
                raise _lost(error) from error

    def _look_at_workers(self) -> None:
        with _noticing_loss():
            workers = set(self._client.nthreads())
        for address in sorted(self._workers - workers):
            _log.warning("The worker %s is gone; what it had under way is done again", address)
        self._workers = workers
        if workers:
            self._seen = time.monotonic()
        elif time.monotonic() - self._seen > _PATIENCE:
            raise InputError(
                "scheduler",
                f"it has had no workers for {_PATIENCE} seconds",
                "Start some with `dask worker`, and start again",
            )

    def _collect(self, future: Future) -> None:
        """Take the result of a call that is over, and let the worker forget it."""
        call = self._under_way.pop(future)
        try:
            found = future.result(timeout=_PATIENCE)
        except TimeoutError:  # its worker went with it, and it is to be computed again
            self._under_way[future] = call
            return
        except CancelledError as error:
            raise _lost(error) from error
        except KilledWorker:
            if not call.alone:
                self._suspects.append(call)
                future.release()
                return
            found = Failure(
                InputError.kind,
                "worker",
                "whoever computes this is ended from outside each time, perhaps for want of memory",
                "Give each worker more memory, or make do with fewer `workers`",
            )
        future.release()
        outcome = found.restore() if isinstance(found, Failure) else found
        self._done[call.number] = call.task, outcome
