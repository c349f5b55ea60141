"""A Dask cluster that already runs, and what can go wrong with it."""

import logging

import pytest
from distributed import LocalCluster

from tests.support.cluster_tasks import Multiply, serialise
from tests.support.waiting import LIMIT, wait_until
from unetflow.config.mask_export import ExecutorParameters
from unetflow.core.errors import InputError
from unetflow.inference import cluster as dask_cluster
from unetflow.inference import executor as executors
from unetflow.inference.executor import open_executor

pytestmark = pytest.mark.process


@pytest.fixture
def cluster(tmp_path):
    """Start a cluster as a user would, without TLS."""
    started = LocalCluster(
        n_workers=1,
        threads_per_worker=2,
        host="127.0.0.1",
        dashboard_address=None,
        scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
        local_directory=str(tmp_path / "scratch"),
        silence_logs=logging.CRITICAL,
    )
    yield started
    started.close(timeout=LIMIT)


def at(address):
    return ExecutorParameters(executor="dask", scheduler=address)


def multiply(address, folder, factor=3):
    with open_executor(at(address), factor, serialise) as executor:
        assert not executor.shares_files
        return list(executor.map(Multiply(folder), range(6)))


def remove_workers(cluster):
    cluster.scale(0)
    wait_until(lambda: not cluster.scheduler.workers, pause=0.05)


def test_a_running_cluster_is_used_repeatedly_and_left_as_it_was(cluster, tmp_path):
    assert cluster.scheduler_address.startswith("tcp://127.0.0.1:")
    for factor in (3, 4):
        found = multiply(cluster.scheduler_address, tmp_path, factor)
        assert found == [(task, factor * task) for task in range(6)]
    plugins = cluster.scheduler.worker_plugins
    assert not [name for name in plugins if name.startswith("unetflow")]
    assert len(cluster.scheduler.workers) == 1
    with pytest.raises(InputError, match=r"factor: it is negative\. Give another one"):
        multiply(cluster.scheduler_address, tmp_path, -1)  # no worker can load it


def test_a_worker_with_another_version_is_refused(cluster, tmp_path, monkeypatch):
    get_versions = dask_cluster.get_versions

    def wanted_versions(packages):
        found = get_versions(packages)
        assert {"unetflow", "numpy", "keras"} <= found["packages"].keys()
        return {"packages": {**found["packages"], "keras": "2.0"}}

    monkeypatch.setattr(dask_cluster, "get_versions", wanted_versions)
    with pytest.raises(InputError, match=r"a worker has keras \S+ instead of 2\.0,") as caught:
        multiply(cluster.scheduler_address, tmp_path)
    assert caught.value.fix == "Give all workers the environment of this process"


def test_a_scheduler_that_stops_during_a_run_is_reported(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(dask_cluster, "_CONNECT_SECONDS", 1)
    with open_executor(at(cluster.scheduler_address), 3, serialise) as executor:
        results = executor.map(Multiply(tmp_path), range(1000))
        assert next(results) == (0, 0)
        cluster.close(timeout=LIMIT)
        with pytest.raises(InputError, match="the connection to the scheduler was lost"):
            list(results)


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:1", "pigeon://127.0.0.1:1", "tcp://nowhere.invalid:8786"]
)
def test_an_address_without_a_scheduler_is_refused(address, tmp_path, monkeypatch):
    monkeypatch.setattr(dask_cluster, "_CONNECT_SECONDS", 1)
    with pytest.raises(InputError, match="no Dask scheduler answers") as caught:
        multiply(address, tmp_path)
    assert address in str(caught.value)
    assert "leave it out to use this machine" in caught.value.fix


def test_a_scheduler_without_workers_is_refused(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(dask_cluster, "_CONNECT_SECONDS", 1)
    remove_workers(cluster)
    with pytest.raises(InputError, match="no workers for 1 seconds") as caught:
        multiply(cluster.scheduler_address, tmp_path)
    assert f"dask worker {cluster.scheduler_address}" in caught.value.fix


def test_workers_that_are_lost_for_good_end_in_an_error(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(dask_cluster, "_NO_WORKERS_SECONDS", 1)
    with open_executor(at(cluster.scheduler_address), 3, serialise) as executor:
        results = executor.map(Multiply(tmp_path), range(100))
        assert next(results) == (0, 0)
        remove_workers(cluster)
        with pytest.raises(InputError, match="no workers for 1 seconds"):
            list(results)


def test_a_result_that_was_lost_with_its_worker_is_not_waited_for(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(dask_cluster, "_NO_WORKERS_SECONDS", 1)
    store = dask_cluster._Calls._store

    def lose_and_store(calls, future):
        remove_workers(cluster)
        store(calls, future)

    monkeypatch.setattr(dask_cluster._Calls, "_store", lose_and_store)
    with (
        open_executor(at(cluster.scheduler_address), 3, serialise) as executor,
        pytest.raises(InputError, match="no workers for 1 seconds"),
    ):
        list(executor.map(Multiply(tmp_path), range(4)))


def test_without_dask_the_extra_to_install_is_named(monkeypatch):
    monkeypatch.setattr(executors, "find_spec", lambda name: None)
    with (
        pytest.raises(InputError, match=r"pip install 'unetflow\[cluster\]'"),
        open_executor(ExecutorParameters(executor="dask"), 3, serialise),
    ):
        pass
