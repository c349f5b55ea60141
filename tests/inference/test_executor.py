"""Calls in this process and in workers of Dask that are processes of their own."""

import logging
import os
from itertools import count

import psutil
import pytest

from tests.support.cluster_tasks import (
    CountCores,
    Killer,
    Multiply,
    Open,
    assert_only_the_victims_tasks_were_repeated,
    find_processes,
    pack,
)
from unetflow.core.errors import DeclarationError, InputError
from unetflow.core.parallel import count_cores
from unetflow.inference.executor import ExecutorSettings, open_executor

LOCAL = ExecutorSettings()
DASK = ExecutorSettings("dask", workers=2)


@pytest.fixture(scope="module")
def two_workers():
    with open_executor(DASK, 3, pack) as runner:
        yield runner


def outcomes(runner, job, tasks, **options):
    return [
        (task, str(found) if isinstance(found, InputError) else found)
        for task, found in runner.call_each(job, tasks, **options)
    ]


def test_workers_give_what_one_process_gives(two_workers, tmp_path):
    tasks = [4, -1, 5, 0, *range(6, 20)]
    with open_executor(LOCAL, 3, pack) as runner:
        expected = outcomes(runner, Multiply(tmp_path), tasks)
    assert expected[:3] == [(4, 12), (-1, "number -1: it is negative. Give another one."), (5, 15)]
    assert outcomes(two_workers, Multiply(tmp_path), tasks) == expected
    unordered = outcomes(two_workers, Multiply(tmp_path), tasks, in_order=False)
    assert sorted(unordered, key=tasks_index(tasks)) == expected


def tasks_index(tasks):
    return lambda pair: tasks.index(pair[0])


def test_an_error_keeps_its_kind(two_workers, tmp_path):
    ((_, found),) = two_workers.call_each(Multiply(tmp_path), [-2])
    assert type(found) is DeclarationError


@pytest.mark.parametrize("in_order", [True, False])
def test_few_tasks_are_taken_before_they_are_needed(two_workers, tmp_path, in_order):
    taken = []

    def tasks():
        for number in count():
            taken.append(number)
            yield number

    results = two_workers.call_each(Multiply(tmp_path), tasks(), in_order=in_order)
    for done in range(1, 20):
        next(results)
        assert len(taken) <= done + 4
    results.close()
    assert len(taken) < 25


def test_every_worker_takes_part_and_ends_its_job(two_workers, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        outcomes(two_workers, Multiply(tmp_path / name), range(20))
        assert len(find_processes(tmp_path / name)) == 2
    assert len(list((tmp_path / "one").glob("over.*"))) == 2


def test_nobody_else_can_reach_the_workers(two_workers, tmp_path):
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


@pytest.mark.parametrize("workers", [2, 4])
def test_a_killed_worker_costs_no_more_than_what_it_had(tmp_path, workers, caplog):
    tasks = list(range(30))
    results = []
    killer = Killer(tmp_path, lambda: len(results))
    killer.start()
    with open_executor(ExecutorSettings("dask", workers=workers), 3, pack) as runner:
        for result in runner.call_each(Multiply(tmp_path, hold=15), tasks):
            results.append(result)
    assert results == [(task, 3 * task) for task in tasks]
    assert killer.done < len(tasks)
    assert_only_the_victims_tasks_were_repeated(tmp_path, killer, tasks, 2 * workers)
    told = [(record.levelno, record.name) for record in caplog.records]
    assert told == [(logging.WARNING, "unetflow.inference.cluster.dask_executor")]
    assert "is gone; what it had under way is done again" in caplog.text


def test_a_task_that_kills_its_workers_is_given_up_alone(tmp_path):
    with open_executor(ExecutorSettings("dask", workers=1), 3, pack) as runner:
        results = outcomes(runner, Multiply(tmp_path, deadly=2), range(5))
    assert [task for task, _ in results] == list(range(5))
    assert [found for task, found in results if task != 2] == [0, 3, 9, 12]
    assert "ended from outside each time" in results[2][1]


def test_another_error_comes_as_it_is(two_workers):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        list(two_workers.call_each(Open("nowhere"), range(3)))


def test_workers_share_the_cores_and_are_quiet(two_workers):
    found = {result for _, result in two_workers.call_each(CountCores(), range(8))}
    assert found == {max(1, count_cores() // 2)}
    assert "TF_NUM_INTRAOP_THREADS" not in os.environ
