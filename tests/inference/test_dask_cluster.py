"""A cluster that runs already, and what is wrong with one."""

import logging
import time

import pytest
from distributed import LocalCluster

from tests.support.cluster_tasks import Multiply, pack
from unetflow.core.errors import InputError
from unetflow.inference import executor as runners
from unetflow.inference.cluster import (
    connection as dask_cluster,
)
from unetflow.inference.cluster import (
    dask_executor as dask_runner,
)
from unetflow.inference.cluster import (
    worker as dask_worker,
)
from unetflow.inference.executor import ExecutorSettings, open_executor


@pytest.fixture
def cluster(tmp_path):
    """Begin a cluster as somebody else would, without any protection."""
    with LocalCluster(
        n_workers=1,
        threads_per_worker=2,
        host="127.0.0.1",
        dashboard_address=None,
        scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
        local_directory=str(tmp_path / "scratch"),
        silence_logs=logging.CRITICAL,
    ) as begun:
        yield begun


def at(address):
    return ExecutorSettings("dask", scheduler=address)


def multiply(address, folder, factor=3):
    with open_executor(at(address), factor, pack) as runner:
        assert not runner.sees_files
        return list(runner.call_each(Multiply(folder), range(6)))


def test_a_cluster_that_runs_already_is_used_again_and_again(cluster, tmp_path):
    assert cluster.scheduler_address.startswith("tcp://127.0.0.1:")
    for factor in (3, 4):  # whose second one is not taken for the first
        found = multiply(cluster.scheduler_address, tmp_path, factor)
        assert found == [(task, factor * task) for task in range(6)]
    plugins = cluster.scheduler.worker_plugins
    assert not [name for name in plugins if name.startswith("unetflow")]
    assert len(cluster.scheduler.workers) == 1


def test_what_no_worker_can_prepare_is_told_once(cluster, tmp_path):
    with pytest.raises(InputError, match=r"factor: it is negative\. Give another one"):
        multiply(cluster.scheduler_address, tmp_path, -1)


def test_a_worker_with_another_version_is_refused(cluster, tmp_path, monkeypatch):
    own = dask_worker.find_versions()
    assert {"unetflow", "numpy", "keras"} <= own.keys()
    wanted = {**own, "keras": "2.0", "a package that is not there": "1"}
    monkeypatch.setattr(dask_runner, "find_versions", lambda: wanted)
    with pytest.raises(InputError, match=r"a worker has keras \S+ instead of 2\.0,") as caught:
        multiply(cluster.scheduler_address, tmp_path)
    assert caught.value.fix == "Give all workers the environment of this process"


def test_a_scheduler_that_ends_meanwhile_is_told(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(dask_cluster, "_SECONDS_TO_ANSWER", 1)
    with open_executor(at(cluster.scheduler_address), 3, pack) as runner:
        results = runner.call_each(Multiply(tmp_path), range(1000))
        assert next(results) == (0, 0)
        cluster.close()
        with pytest.raises(InputError, match="the connection to the scheduler was lost"):
            list(results)


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:1", "carrier-pigeon://127.0.0.1:1", "tcp://nowhere.invalid:8786"]
)
def test_an_address_where_nobody_answers_is_named(address, tmp_path, monkeypatch):
    monkeypatch.setattr(dask_cluster, "_SECONDS_TO_ANSWER", 1)
    with pytest.raises(InputError, match="no scheduler of Dask answers") as caught:
        multiply(address, tmp_path)
    assert address in str(caught.value)
    assert "leave it out to use this machine" in caught.value.fix


def test_a_scheduler_without_workers_is_named(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(dask_cluster, "_SECONDS_TO_ANSWER", 1)
    cluster.scale(0)
    while cluster.scheduler.workers:
        time.sleep(0.01)
    with pytest.raises(InputError, match="has no workers"):
        multiply(cluster.scheduler_address, tmp_path)


def test_workers_that_go_and_do_not_come_back_are_not_waited_for(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(dask_runner, "_PATIENCE", 1)
    with open_executor(at(cluster.scheduler_address), 3, pack) as runner:
        results = runner.call_each(Multiply(tmp_path), range(100))
        assert next(results) == (0, 0)
        cluster.scale(0)
        with pytest.raises(InputError, match="no workers for 1 seconds"):
            list(results)


def test_a_result_that_went_with_its_worker_is_not_waited_for(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(dask_runner, "_PATIENCE", 1)
    wait = dask_runner._Calls._wait

    def wait_and_lose(calls):
        done = wait(calls)
        cluster.scale(0)
        deadline = time.monotonic() + 20
        while cluster.scheduler.workers and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not cluster.scheduler.workers
        return done

    monkeypatch.setattr(dask_runner._Calls, "_wait", wait_and_lose)
    with (
        open_executor(at(cluster.scheduler_address), 3, pack) as runner,
        pytest.raises(InputError, match="no workers for 1 seconds"),
    ):
        list(runner.call_each(Multiply(tmp_path), range(4)))


def test_without_dask_the_package_is_named(monkeypatch):
    monkeypatch.setattr(runners, "find_spec", lambda name: None)
    with (
        pytest.raises(InputError, match=r"pip install 'unetflow\[cluster\]'"),
        open_executor(ExecutorSettings("dask"), 3, pack),
    ):
        pass
