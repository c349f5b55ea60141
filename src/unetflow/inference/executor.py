"""Executors: call a function for many tasks in this process or in the workers of a cluster."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Generic, TypeVar

from unetflow.config.mask_export import ExecutorParameters
from unetflow.core.errors import InputError

Context = TypeVar("Context")
Task = TypeVar("Task")
Result = TypeVar("Result")


class TaskFunction(ABC, Generic[Context, Task, Result]):
    """Function that an executor calls; it, its tasks and their results must be picklable."""

    @abstractmethod
    def __call__(self, context: Context, task: Task) -> Result:
        """Return the result of a task, or raise an `InputError` that concerns this task alone."""

    def close(self) -> None:
        """Close what the calls have opened in this process."""


class Executor(Generic[Context]):
    """Calls functions for many tasks in this process; `cluster.DaskExecutor` does so in workers.

    Args:
        context: The context of all calls, such as a segmenter.

    Attributes:
        shares_files: Whether the files of this machine have the same paths where the tasks run.
    """

    shares_files: bool = True

    def __init__(self, context: Context) -> None:
        self._context = context

    def map(
        self,
        function: TaskFunction[Context, Task, Result],
        tasks: Iterable[Task],
        *,
        in_order: bool = True,
    ) -> Iterator[tuple[Task, Result | InputError]]:
        """Call a function for each task.

        Args:
            function: The function.
            tasks: Consumed lazily, so that memory does not grow with their number.
            in_order: Whether results come in the order of the tasks, or as they are completed.

        Yields:
            Each task with its result, or with the `InputError` that its call raised.

        Raises:
            InputError: The executor cannot continue.
        """
        try:
            for task in tasks:
                yield task, attempt(function, self._context, task)
        finally:
            function.close()


def attempt(function: Callable[..., Result], *arguments: object) -> Result | InputError:
    """Return the result of a call, or the `InputError` that it raises."""
    try:
        return function(*arguments)
    except InputError as error:
        return error


@contextmanager
def open_executor(
    parameters: ExecutorParameters,
    context: Context,
    serialise: Callable[[Context], Callable[[], Context]],
) -> Iterator[Executor[Context]]:
    """Start an executor, and stop it when the block ends.

    Args:
        parameters: The kind of executor, and its workers.
        context: The context of all calls.
        serialise: Returns a picklable function that loads the context in another process.

    Raises:
        InputError: Dask is not installed, or its scheduler or workers cannot be used.
    """
    if parameters.executor == "local":
        yield Executor(context)
        return
    if find_spec("distributed") is None:
        raise InputError(
            "mask_export.executor",
            "Dask is not installed",
            "Install it with `pip install 'unetflow[cluster]'`, or use the executor 'local'",
        )
    from unetflow.inference.cluster import open_dask_executor

    with open_dask_executor(parameters, serialise(context)) as executor:
        yield executor
