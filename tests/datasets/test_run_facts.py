import mlflow
import pytest
from kedro.io import DatasetError

from unetflow.datasets.tracked_runs import RunFactsDataset
from unetflow.models.device import describe_device


def test_without_a_tracked_run_the_machine_alone_is_known():
    assert mlflow.active_run() is None
    facts = RunFactsDataset().load()
    assert [facts[name] for name in ("command", "commit", "changed", "mlflow_run")] == [None] * 4
    assert facts["versions"]["keras"].startswith("3.")
    assert facts["device"] == describe_device()
    assert facts["time"].endswith(" UTC")


def test_tags_of_the_run_are_read(monkeypatch, empty_mlflow):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{empty_mlflow}")
    tags = {"command": "kedro run", "mlflow.source.git.commit": "abc", "git_dirty": "false"}
    with mlflow.start_run(tags=tags) as run:
        facts = RunFactsDataset().load()
    assert [facts[name] for name in ("command", "commit", "changed")] == ["kedro run", "abc", False]
    assert facts["mlflow_run"] == run.info.run_id


def test_nobody_saves_facts():
    with pytest.raises(DatasetError, match="only read"):
        RunFactsDataset().save({})
