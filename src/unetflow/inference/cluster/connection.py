"""A cluster of Dask: one of processes on this machine, or one that runs already."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from tempfile import TemporaryDirectory

import dask
from distributed import Client, LocalCluster

from unetflow.core.errors import InputError
from unetflow.core.parallel import count_cores
from unetflow.inference.executor import ExecutorSettings

_SECONDS_TO_ANSWER = 20
"""That a scheduler may take to answer, and to find its first worker."""
_DEATHS = 1
"""Workers beyond the first that may die of one task before Dask gives it up."""
_CORES_EACH = 2
"""Cores of one worker, unless the number of workers is given: many cores are better used by several
networks than by one, but each takes memory of its own."""

_SETTINGS = {
    # A task carries its image, so that it can be computed again when its worker is gone.
    "distributed.admin.large-graph-warning-threshold": "1TB",
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    # Read in each worker as it begins: it may log as this process does.
    "distributed.nanny.pre-spawn-environ.DASK_LOGGING__DISTRIBUTED": "critical",
}


@contextmanager
def connect(settings: ExecutorSettings) -> Iterator[Client]:
    """Connect with the cluster that is asked for; one of this machine ends with the block.

    Raises:
        InputError: No scheduler answers, or it has no workers.
    """
    with ExitStack() as stack:
        stack.enter_context(_silence_dask())
        stack.enter_context(dask.config.set(_SETTINGS))
        if settings.scheduler is None:
            yield stack.enter_context(_begin_cluster(settings.workers))
        else:
            client = stack.enter_context(_find_cluster(settings.scheduler))
            _require_workers(client, settings.scheduler)
            yield client


@contextmanager
def _silence_dask() -> Iterator[None]:
    """Keep Dask's own log away: it is long, and what matters of it is told by the runner."""
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


@contextmanager
def _begin_cluster(workers: int | None) -> Iterator[Client]:
    """Begin processes that share the cores of this machine, and that nobody else reaches.

    They listen on this machine alone, and talk only to who has the certificate that is made for
    them: whoever reaches a scheduler or a worker of Dask can let it run anything.
    """
    cores = count_cores()
    number = workers or min(cores, max(2, cores // _CORES_EACH))
    with (
        TemporaryDirectory() as folder,
        LocalCluster(
            n_workers=number,
            threads_per_worker=max(1, cores // number),
            processes=True,
            host="127.0.0.1",
            security=True,
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0", "allowed_failures": _DEATHS},
            local_directory=folder,
            memory_limit=None,  # else a worker pauses for good when its network is large
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


@contextmanager
def _find_cluster(address: str) -> Iterator[Client]:
    try:
        client = Client(address, timeout=_SECONDS_TO_ANSWER, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(
            "scheduler",
            f"no scheduler of Dask answers at {address} ({error})",
            "Start one with `dask scheduler` and its workers with `dask worker`, correct the "
            "address, or leave it out to use this machine",
        ) from error
    with client:
        yield client


def _require_workers(client: Client, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=_SECONDS_TO_ANSWER)
    except TimeoutError as error:
        raise InputError(
            "scheduler",
            f"the scheduler at {address} has no workers",
            f"Start some with `dask worker {address}`",
        ) from error
