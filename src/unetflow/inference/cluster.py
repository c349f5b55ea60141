"""Executor that runs tasks in the workers of a Dask cluster."""

import logging
import pickle
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager
from itertools import islice
from tempfile import TemporaryDirectory
from typing import Any, Generic

import dask
import distributed
from distributed import Client, Future, KilledWorker, LocalCluster, Worker, WorkerPlugin
from distributed.versions import get_versions

from unetflow.config.mask_export import ExecutorParameters
from unetflow.core.errors import InputError, restore_error
from unetflow.core.parallel import count_cores, limit_cores
from unetflow.inference.executor import Context, Executor, Result, Task, TaskFunction, attempt

_log = logging.getLogger(__name__)

_TASKS_PER_WORKER = 2
"""Tasks submitted at a time for each worker, so that the next one is there when one is done."""
_CONNECT_SECONDS = 60
"""How long to wait for a scheduler and for its first worker."""
_NO_WORKERS_SECONDS = 180
"""How long to wait for new workers when all are lost: on a busy machine they start slowly."""
_RESTART_SECONDS = 30
"""How long Dask may take to restart a worker of a local cluster before all are started again."""
_POLL_SECONDS = 2
_CORES_PER_WORKER = 2
"""Default size of a worker: several networks use many cores better than one, but each takes memory
of its own."""
_CHECKED = ("unetflow", "numpy", "keras", "tensorflow", "tensorflow-cpu", "openvino", "onnxruntime")
"""Packages that the results depend on."""
_LOGGERS = ("distributed", "distributed.client")
_CONFIG = {
    # A task carries its image, so that it can be repeated when its worker is lost.
    "distributed.admin.large-graph-warning-threshold": "1TB",
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    # Read by each worker when it starts.
    "distributed.nanny.pre-spawn-environ.DASK_LOGGING__DISTRIBUTED": "critical",
}


@contextmanager
def open_dask_executor(
    parameters: ExecutorParameters, load: Callable[[], Context]
) -> Iterator[Executor[Context]]:
    """Connect to a cluster, or start one on this machine that stops when the block ends.

    Args:
        parameters: The cluster; an `InputError` is raised where it cannot be used.
        load: Loads the context of the tasks in a worker.
    """
    address = parameters.scheduler
    with ExitStack() as stack:
        for logger in map(logging.getLogger, _LOGGERS):  # the executor reports what matters
            stack.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.CRITICAL)
        stack.enter_context(dask.config.set(_CONFIG))
        connect = _start_cluster(parameters.workers) if address is None else _connect(address)
        client = stack.enter_context(connect)
        name = f"unetflow-{uuid.uuid4().hex}"
        try:
            client.register_plugin(WorkerSetup(load), name)
        except (ImportError, AttributeError, pickle.UnpicklingError) as error:
            raise InputError(
                "scheduler",
                f"a worker cannot read its tasks ({error})",
                "Give all workers the environment of this process",
            ) from error
        try:
            yield DaskExecutor(client, name, shares_files=address is None)
        finally:
            if address is not None and client.status == "running":
                client.unregister_worker_plugin(name)


@contextmanager
def _start_cluster(workers: int | None) -> Iterator[Client]:
    """Start worker processes that share the cores of this machine.

    They listen on this machine only and require a certificate that is made for this cluster:
    whoever reaches a scheduler or a worker of Dask can run any code there.
    """
    cores = count_cores()
    workers = workers or min(cores, max(2, cores // _CORES_PER_WORKER))
    with (
        TemporaryDirectory() as folder,
        LocalCluster(
            n_workers=workers,
            threads_per_worker=max(1, cores // workers),
            processes=True,
            host="127.0.0.1",
            security=True,  # a temporary certificate
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0", "allowed_failures": 1},
            local_directory=folder,
            memory_limit=None,  # otherwise a worker with a large network pauses for good
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


@contextmanager
def _connect(address: str) -> Iterator[Client]:
    try:
        client = Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(
            "scheduler",
            f"no Dask scheduler answers at {address} ({error})",
            "Start one with `dask scheduler` and its workers with `dask worker`, correct the "
            "address, or leave it out to use this machine",
        ) from error
    with client:
        _require_workers(client, _CONNECT_SECONDS)
        yield client


def _require_workers(client: Client, seconds: float) -> None:
    try:
        client.wait_for_workers(1, timeout=seconds)
    except TimeoutError as error:
        raise InputError(
            "scheduler",
            f"it has had no workers for {seconds} seconds",
            f"Start some with `dask worker {client.scheduler.address}`, and run again",
        ) from error


def _wait_for_workers(client: Client) -> None:
    """Wait until a lost worker is back; start those of a local cluster again where none is."""
    cluster = client.cluster
    if cluster is not None:
        try:
            client.wait_for_workers(1, timeout=_RESTART_SECONDS)
        except TimeoutError:  # Dask does not restart a worker that dies while it starts
            workers = len(cluster.worker_spec)
            cluster.scale(0)
            cluster.scale(workers)
    _require_workers(client, _NO_WORKERS_SECONDS)


class WorkerSetup(WorkerPlugin, Generic[Context]):
    """The context and the open function of an executor in one worker.

    Dask copies the plugin to every worker, including workers that start later. The context is
    loaded for the first task: during `setup` the worker could not answer the scheduler.
    """

    def __init__(self, load: Callable[[], Context]) -> None:
        self._load, self._versions = load, get_versions(_CHECKED)["packages"]

    def setup(self, worker: Worker) -> None:
        """See `WorkerPlugin.setup`."""
        self._lock = threading.Lock()
        self._context: Context | InputError | None = None
        self._functions: dict[str, TaskFunction[Context, Any, Any]] = {}
        limit_cores(worker.state.nthreads)

    def call(self, name: str, function: TaskFunction[Context, Task, Any], task: Task) -> Any:
        """Return the result or the `InputError` of one task; raise one that concerns all tasks.

        The name identifies the function, which stays open until another one is called.
        """
        with self._lock:  # a network uses all cores of the worker
            if self._context is None:
                self._context = attempt(self._load_context)
            if isinstance(self._context, InputError):
                raise _detach(self._context)
            if name not in self._functions:
                for last in self._functions.values():
                    last.close()
                self._functions = {name: function}
            found = attempt(self._functions[name], self._context, task)
        return _detach(found) if isinstance(found, InputError) else found

    def _load_context(self) -> Context:
        here = get_versions(_CHECKED)["packages"]
        differences = [
            f"{package} {here[package]} instead of {self._versions[package]}"
            for package in _CHECKED
            if here[package] not in (None, self._versions[package])
        ]
        if differences:
            raise InputError(
                "scheduler",
                f"a worker has {', '.join(differences)}, which may change the results",
                "Give all workers the environment of this process",
            )
        return self._load()


def _call(plugin: str, name: str, function: TaskFunction[Any, Task, Any], task: Task) -> Any:
    """Call a function in a worker that has a `WorkerSetup` under the name of the plugin."""
    return distributed.get_worker().plugins[plugin].call(name, function, task)


def _detach(error: InputError) -> InputError:
    """Return the error without its cause, which may not be picklable."""
    return restore_error(error.kind, error.where, error.problem, error.fix)


class DaskExecutor(Executor[Context]):
    """Calls functions in the workers of a cluster, which have a plugin `WorkerSetup`."""

    def __init__(self, client: Client, plugin: str, shares_files: bool) -> None:
        self._client, self._plugin, self.shares_files = client, plugin, shares_files

    def map(
        self,
        function: TaskFunction[Context, Task, Result],
        tasks: Iterable[Task],
        *,
        in_order: bool = True,
    ) -> Iterator[tuple[Task, Result | InputError]]:
        """See `Executor.map`."""
        arguments = self._plugin, uuid.uuid4().hex, function
        return _Calls[Task, Result](self._client, arguments, tasks).results(in_order)


class _Calls(Generic[Task, Result]):
    """The calls of one `map`, of which few are submitted at a time; the arguments are for `_call`.

    When Dask gives up a task because it was lost with its workers, another task there may be the
    cause. Such a suspect is repeated once while no other task runs.
    """

    def __init__(self, client: Client, arguments: tuple[Any, ...], tasks: Iterable[Task]) -> None:
        self._client, self._arguments, self._tasks = client, arguments, enumerate(tasks)
        self._running: dict[Future, tuple[int, Task]] = {}
        self._suspects: deque[tuple[int, Task]] = deque()
        self._done: dict[int, tuple[Task, Result | InputError]] = {}
        self._workers: set[str] = set()

    def results(self, in_order: bool) -> Iterator[tuple[Task, Result | InputError]]:
        """Yield all tasks with their results; see `Executor.map`."""
        following = 0
        try:
            while True:
                self._check_workers()
                self._submit()
                number = following if in_order else next(iter(self._done), None)
                if number in self._done:
                    following += 1
                    yield self._done.pop(number)
                elif self._running:
                    self._collect()
                else:
                    return
        finally:
            if self._running and self._client.status == "running":
                self._client.cancel(list(self._running))

    def _check_workers(self) -> None:
        """Report lost workers, and wait for new ones where none is left."""
        with _connection():
            workers = set(self._client.nthreads())
            if not workers:
                _wait_for_workers(self._client)
        for address in sorted(self._workers - workers):
            _log.warning("The worker %s was lost; its tasks are computed again", address)
        self._workers = workers

    def _submit(self) -> None:
        if self._suspects:
            room, tasks = 1 - len(self._running), iter([self._suspects[0]])
        else:
            limit = _TASKS_PER_WORKER * max(1, len(self._workers))
            room, tasks = limit - len(self._running) - len(self._done), self._tasks
        for number, task in islice(tasks, max(0, room)):
            with _connection():
                future = self._client.submit(_call, *self._arguments, task, pure=False)
            self._running[future] = number, task

    def _collect(self) -> None:
        """Wait a short time for calls to complete, and store their results."""
        with _connection():
            try:
                with self._client.as_current():
                    done = distributed.wait(
                        list(self._running), timeout=_POLL_SECONDS, return_when="FIRST_COMPLETED"
                    ).done
            except TimeoutError:
                return
        for future in done:
            self._store(future)

    def _store(self, future: Future) -> None:
        number, task = self._running[future]
        with _connection():
            try:
                error = future.exception(timeout=_NO_WORKERS_SECONDS)
                found = future.result(timeout=_NO_WORKERS_SECONDS) if error is None else error
            except TimeoutError:  # the result was lost with its worker, and is computed again
                return
        del self._running[future]
        future.release()
        alone = bool(self._suspects) and self._suspects[0][0] == number
        if alone:
            self._suspects.popleft()
        if isinstance(error, KilledWorker):
            if not alone:
                self._suspects.append((number, task))
                return
            found = InputError(
                "worker",
                "its process is killed each time, perhaps for lack of memory",
                "Give each worker more memory, or use fewer `workers`",
            )
        elif error is not None:
            raise error
        self._done[number] = task, found


@contextmanager
def _connection() -> Iterator[None]:
    """Raise an `InputError` where the scheduler cannot be reached."""
    try:
        yield
    except (CancelledError, OSError) as error:
        raise InputError(
            "scheduler",
            f"the connection to the scheduler was lost ({error})",
            "Check what became of it, and run again",
        ) from error
