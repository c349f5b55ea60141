"""Tasks in this process, and in the workers of a local Dask cluster."""

import logging
import os
from itertools import count

import psutil
import pytest

from tests.support.cluster_tasks import (
    CountCores,
    Fail,
    FailFromUnpicklable,
    Killer,
    Multiply,
    UnpicklableError,
    assert_only_tasks_of_the_victim_were_repeated,
    find_processes,
    serialise,
)
from unetflow.config.mask_export import ExecutorParameters
from unetflow.core.errors import DeclarationError, InputError
from unetflow.core.parallel import count_cores
from unetflow.inference.executor import open_executor

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("executor")]  # two workers for all

LOCAL = ExecutorParameters()
DASK = ExecutorParameters(executor="dask", workers=2)


@pytest.fixture(scope="module")
def two_workers():
    with pytest.MonkeyPatch.context() as patch, open_executor(DASK, 3, serialise) as executor:
        patch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)  # a given number would be kept
        yield executor


def outcomes(executor, function, tasks, **options):
    return [
        (task, str(found) if isinstance(found, InputError) else found)
        for task, found in executor.map(function, tasks, **options)
    ]


def test_workers_return_the_results_of_one_process(two_workers, tmp_path):
    tasks = [4, -1, 5, 0, *range(6, 20)]
    with open_executor(LOCAL, 3, serialise) as executor:
        expected = outcomes(executor, Multiply(tmp_path), tasks)
    assert expected[:3] == [(4, 12), (-1, "number -1: it is negative. Give another one."), (5, 15)]
    assert outcomes(two_workers, Multiply(tmp_path), tasks) == expected
    unordered = outcomes(two_workers, Multiply(tmp_path), tasks, in_order=False)
    assert sorted(unordered, key=lambda pair: tasks.index(pair[0])) == expected


def test_an_input_error_keeps_its_kind(two_workers, tmp_path):
    ((_, found),) = two_workers.map(Multiply(tmp_path), [-2])
    assert type(found) is DeclarationError


def test_an_input_error_with_an_unpicklable_cause_is_returned(two_workers):
    assert outcomes(two_workers, FailFromUnpicklable(), [1]) == [
        (1, "number: it fails. Give another one.")
    ]


@pytest.mark.parametrize("in_order", [True, False])
def test_few_tasks_are_taken_before_they_are_needed(two_workers, tmp_path, in_order):
    taken = []

    def tasks():
        for number in count():
            taken.append(number)
            yield number

    results = two_workers.map(Multiply(tmp_path), tasks(), in_order=in_order)
    for done in range(1, 20):
        next(results)
        assert len(taken) <= done + 4
    results.close()
    assert len(taken) < 25


def test_each_worker_takes_part_and_closes_the_last_function(two_workers, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        tasks = iter(range(1000))
        results = two_workers.map(Multiply(tmp_path / name), tasks)
        while len(find_processes(tmp_path / name)) < 2:
            next(results)
        results.close()
    assert len(list((tmp_path / "one").glob("closed.*"))) == 2


def test_workers_listen_on_this_machine_only(two_workers, tmp_path):
    outcomes(two_workers, Multiply(tmp_path), range(3))
    this = psutil.Process()
    listening = [
        connection.laddr.ip
        for process in [this, *this.children(recursive=True)]
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 6
    assert set(listening) == {"127.0.0.1"}


def test_workers_require_a_certificate(two_workers):
    address = two_workers._client.scheduler.address
    assert address.startswith("tls://127.0.0.1:")
    assert two_workers._client.security.require_encryption


@pytest.mark.parametrize("workers", [2, 4])
def test_a_killed_worker_costs_its_own_tasks_only(tmp_path, workers, caplog):
    tasks = list(range(30))
    results = []
    killer = Killer(tmp_path, lambda: len(results))
    killer.start()
    with open_executor(
        ExecutorParameters(executor="dask", workers=workers), 3, serialise
    ) as executor:
        for result in executor.map(Multiply(tmp_path, hold=15), tasks):
            results.append(result)
    assert results == [(task, 3 * task) for task in tasks]
    assert killer.done < len(tasks)
    assert_only_tasks_of_the_victim_were_repeated(tmp_path, killer, tasks, 2 * workers)
    logged = [(record.levelno, record.name) for record in caplog.records]
    assert logged == [(logging.WARNING, "unetflow.inference.cluster")]
    assert "was lost; its tasks are computed again" in caplog.text


def test_a_task_that_kills_its_workers_becomes_its_own_error(tmp_path):
    with open_executor(ExecutorParameters(executor="dask", workers=1), 3, serialise) as executor:
        results = outcomes(executor, Multiply(tmp_path, deadly=2), range(5))
    assert [task for task, _ in results] == list(range(5))
    assert [found for task, found in results if task != 2] == [0, 3, 9, 12]
    assert "its process is killed each time" in results[2][1]


@pytest.mark.parametrize("error", [FileNotFoundError, TimeoutError])
def test_another_error_is_raised_as_it_is(two_workers, error):
    with pytest.raises(error):
        list(two_workers.map(Fail(error), range(3)))


def test_an_error_that_cannot_be_pickled_is_raised_as_text(two_workers):
    with pytest.raises(Exception, match=UnpicklableError.__name__):
        list(two_workers.map(Fail(UnpicklableError), range(3)))


def test_workers_share_the_cores_and_do_not_log(two_workers):
    found = {result for _, result in two_workers.map(CountCores(), range(8))}
    assert found == {max(1, count_cores() // 2)}
    assert "TF_NUM_INTRAOP_THREADS" not in os.environ
