"""Who computes many calls of one function: this process, or the workers of a cluster."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Generic, TypeAlias, TypeVar

from unetflow.core.errors import InputError

Context = TypeVar("Context")
Task = TypeVar("Task")
Result = TypeVar("Result")

Prepare: TypeAlias = Callable[[], Context]
"""Makes in another process what all jobs of a runner share."""
Job: TypeAlias = Callable[[Context], AbstractContextManager[Callable[[Task], Result]]]
"""What is done for each task. It is called once in each process that takes part, with what all jobs
share, and gives the function that is called for each task; what that needs, such as an open file,
lasts until the job is over. A job, its tasks and their results must be such that they can be
sent."""


@dataclass(frozen=True)
class ExecutorSettings:
    """Who computes.

    Attributes:
        kind: "local" for this process, or "dask".
        workers: Processes that Dask begins on this machine; None: see `dask_cluster`.
        scheduler: Address of a Dask scheduler that runs already, such as `tcp://host:8786`; None:
            Dask begins one on this machine.
    """

    kind: str = "local"
    workers: int | None = None
    scheduler: str | None = None


class Executor(ABC, Generic[Context]):
    """Calls a function for many tasks.

    Attributes:
        sees_files: Whether all that takes part sees the files of this machine, under their names
            as this process calls them.
    """

    sees_files: bool = True

    @abstractmethod
    def call_each(
        self,
        job: Job[Context, Task, Result],
        tasks: Iterable[Task],
        *,
        in_order: bool = True,
    ) -> Iterator[tuple[Task, Result | InputError]]:
        """Do a job for each task; few are under way at a time, however many there are.

        Args:
            job: What is done.
            tasks: What for; taken one by one, as there is room.
            in_order: Whether the results come in the order of the tasks, else as they are done.

        Yields:
            Each task, and its result; where an `InputError` came of it, that.

        Raises:
            InputError: Who computes cannot go on.
        """


class InProcess(Executor[Context]):
    """Calls the function here, for one task after the other.

    Args:
        context: What all jobs share.
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    def call_each(
        self,
        job: Job[Context, Task, Result],
        tasks: Iterable[Task],
        *,
        in_order: bool = True,
    ) -> Iterator[tuple[Task, Result | InputError]]:
        """See `Executor`."""
        with job(self._context) as function:
            for task in tasks:
                yield task, attempt(function, task)


def attempt(function: Callable[[Task], Result], task: Task) -> Result | InputError:
    """Return what a function gives; the `InputError` that it raises, where it does."""
    try:
        return function(task)
    except InputError as error:
        return error


@contextmanager
def open_executor(
    settings: ExecutorSettings,
    context: Context,
    pack: Callable[[Context], Prepare[Context]],
) -> Iterator[Executor[Context]]:
    """Get ready whoever computes, and let go of it at the end.

    Args:
        settings: Who that is.
        context: What all jobs share, for this process.
        pack: Makes of it what can be sent to other processes and makes it there again.

    Raises:
        InputError: Dask is not installed, or its scheduler or workers cannot be used.

    Example:
        ```python
        with open_executor(ExecutorSettings("dask", workers=4), segmenter, pack) as runner:
            for task, result in runner.call_each(job, tasks):
                ...
        ```
    """
    if settings.kind == "local":
        yield InProcess(context)
        return
    if find_spec("distributed") is None:
        raise InputError(
            "runner",
            "Dask is not installed",
            "Install it with `pip install 'unetflow[cluster]'`, or use the runner 'local'",
        )
    from unetflow.inference.cluster.dask_executor import open_dask_executor

    with open_dask_executor(settings, pack(context)) as runner:
        yield runner
