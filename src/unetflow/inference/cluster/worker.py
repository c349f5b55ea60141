"""What happens in a worker of Dask."""

import os
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Generic, Self

from distributed import Worker, WorkerPlugin, get_worker

import unetflow
from unetflow.core.errors import InputError, restore_error
from unetflow.core.parallel import limit_cores
from unetflow.inference.executor import (
    Context,
    Job,
    attempt,
)

_PACKAGES = ("numpy", "keras", "tensorflow", "tensorflow-cpu", "openvino", "onnxruntime")


@dataclass(frozen=True)
class Failure:
    """An `InputError` on its way: what it was raised from need not be such that it can be sent."""

    kind: str
    where: str
    problem: str
    fix: str

    @classmethod
    def of(cls, error: InputError) -> Self:
        """Take an error apart."""
        return cls(error.kind, error.where, error.problem, error.fix)

    def restore(self) -> InputError:
        """Make the error again."""
        return restore_error(self.kind, self.where, self.problem, self.fix)


class UnfitWorkerError(Exception):
    """A worker can do no task, which is no task's fault.

    Args:
        failure: Tells why.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure)
        self.failure = failure


class WorkerSetup(WorkerPlugin, Generic[Context]):
    """What all tasks share, made once in each worker when its first task comes.

    Dask gives a copy to each worker, also to those that come later or are begun anew.

    Args:
        prepare: Makes it.
        versions: Of the packages that the results depend on, as `find_versions` gives them where
            the results go to.
        folder: Where relative paths begin; None: the worker is on another machine.
    """

    def __init__(
        self, prepare: Callable[[], Context], versions: Mapping[str, str], folder: Path | None
    ) -> None:
        self._prepare, self._versions, self._folder = prepare, versions, folder

    def setup(self, worker: Worker) -> None:
        """Get ready in a worker; see `WorkerPlugin`."""
        self._context: list[Context] = []
        self._job, self._job_name = ExitStack(), ""
        self._turn, self._over = threading.Lock(), False
        if self._folder is not None:
            os.chdir(self._folder)
        limit_cores(worker.state.nthreads)

    def teardown(self, worker: Worker) -> None:
        """Let go of everything, or see to it that the call under way does; see `WorkerPlugin`."""
        self._over = True
        if self._turn.acquire(blocking=False):
            try:
                self._let_go()
            finally:
                self._turn.release()

    def call(self, name: str, job: Job[Context, Any, Any], task: Any) -> Any:
        """Do a job for one task.

        Threads take turns: a network takes all cores that the worker has.

        Args:
            name: Of the job; with another one the last job is over.
            job: What is done.
            task: What for.

        Returns:
            The result, or a `Failure`.

        Raises:
            UnfitWorkerError: The worker has other packages, or cannot prepare.
        """
        with self._turn:
            if not self._context:
                self._context.append(self._begin())
            outcome = attempt(partial(self._do, name, job), task)
            if self._over:
                self._let_go()
        return Failure.of(outcome) if isinstance(outcome, InputError) else outcome

    def _begin(self) -> Context:
        try:
            require_versions(self._versions)
            return self._prepare()
        except InputError as error:
            raise UnfitWorkerError(Failure.of(error)) from None

    def _let_go(self) -> None:
        self._job.close()
        self._job_name = ""
        self._context.clear()

    def _do(self, name: str, job: Job[Context, Any, Any], task: Any) -> Any:
        if name != self._job_name:
            self._job.close()
            self._job_name = ""
            self._function = self._job.enter_context(job(self._context[0]))
            self._job_name = name
        return self._function(task)


def call_prepared(preparation: str, name: str, job: Job[Any, Any, Any], task: Any) -> Any:
    """Do a job for one task in a worker that has a `WorkerSetup` of this name."""
    return get_worker().plugins[preparation].call(name, job, task)


def find_versions() -> dict[str, str]:
    """Return the version of unetflow, and of the packages that compute its results."""
    versions = {"unetflow": unetflow.__version__}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:  # whoever needs it says so
            continue
    return versions


def require_versions(wanted: Mapping[str, str]) -> None:
    """Raise an `InputError` where a package is here in another version than wanted."""
    here = find_versions()
    differences = [
        f"{package} {here[package]} instead of {wanted[package]}"
        for package in wanted
        if package in here and here[package] != wanted[package]
    ]
    if differences:
        raise InputError(
            "scheduler",
            f"a worker has {', '.join(differences)}, and might find other results",
            "Give all workers the environment of this process",
        )
