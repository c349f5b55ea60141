import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import git
import mlflow
import numpy as np
import pytest

from unetflow.core.errors import InputError
from unetflow.data.samples import Sample
from unetflow.hooks.tracking import TrackingHooks
from unetflow.tracking.mlflow_runs import flatten, git_tags
from unetflow.tracking.tracker import Tracker

SETTINGS = {
    "system_metrics": False,
    "pictures": {"images": 2, "every": 5},
    "registered_model": "unetflow",
}


def test_flatten_gives_paths():
    nested = {"a": 1, "b": {"c": [1, 2], "d": {"e": None}}}
    assert dict(flatten(nested)) == {"a": 1, "b.c": [1, 2], "b.d.e": None}


def test_git_tags_tell_commit_and_changes(tmp_path):
    assert git_tags(tmp_path) == {}
    with git.Repo.init(tmp_path) as repository:
        assert git_tags(tmp_path) == {}
        (tmp_path / "a").write_text("1")
        repository.index.add(["a"])
        author = git.Actor("A", "a@example.org")
        commit = repository.index.commit("first", author=author, committer=author)
        assert git_tags(tmp_path) == {
            "mlflow.source.git.commit": commit.hexsha,
            "git_dirty": "false",
        }
        (tmp_path / "a").write_text("2")
        assert git_tags(tmp_path)["git_dirty"] == "true"


@pytest.mark.process
def test_missing_git_is_no_error(tmp_path):
    code = "import sys; from unetflow.tracking.mlflow_runs import *; print(git_tags(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": ""},
    )
    assert done.stdout.strip() == "{}"


@pytest.fixture
def client(tmp_path: Path, empty_mlflow: Path) -> mlflow.MlflowClient:
    (tmp_path / "mlflow.db").write_bytes(empty_mlflow.read_bytes())
    return mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")


@pytest.fixture
def tracker(tmp_path: Path, client: mlflow.MlflowClient) -> Tracker:
    return Tracker(tmp_path, "sqlite:///mlflow.db", "some experiment", **SETTINGS)


def test_failed_run_is_marked_with_its_error(tracker, tmp_path):
    tracker.start("training", {"a": {"b": 1}}, {"env": "local"})
    run_id = mlflow.active_run().info.run_id
    tracker.end(ValueError("something was wrong"))
    run = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}").get_run(run_id)
    assert run.info.status == "FAILED"
    assert run.data.tags["error"] == "ValueError: something was wrong"
    assert run.data.params == {"a.b": "1"}
    assert run.info.artifact_uri.startswith((tmp_path / "mlruns").as_uri())


def test_ended_run_leaves_the_environment_as_it_was(tracker):
    import os

    tracker.start("ingestion", {}, {})
    names = "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_ID"
    assert all(name in os.environ for name in names)
    tracker.end()
    assert not any(name in os.environ for name in names)


def test_ended_run_gives_the_place_back_that_was_chosen_before(tmp_path, client):
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    mlflow.set_experiment("of the user")
    (tmp_path / "project").mkdir()
    tracker = Tracker(tmp_path / "project", "sqlite:///mlflow.db", "some experiment", **SETTINGS)
    tracker.start("ingestion", {}, {})
    tracker.end()
    with mlflow.start_run() as run:
        assert client.get_experiment(run.info.experiment_id).name == "of the user"


def test_interrupted_run_is_ended_by_the_next_one(tracker, tmp_path):
    tracker.start("training", {}, {})
    left_over = mlflow.active_run().info.run_id
    tracker.start("training", {}, {})
    tracker.end()
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert client.get_run(left_over).info.status == "KILLED"


def test_ui_command_works_where_one_stands(tracker, tmp_path, monkeypatch):
    assert tracker.describe_ui().endswith(f"ui --backend-store-uri sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.chdir(tmp_path)
    assert tracker.describe_ui().endswith("ui --backend-store-uri sqlite:///mlflow.db")


def test_address_of_a_server_is_shown_without_its_password(tracker):
    tracker._tracking_uri = "https://ann:open-sesame@host.org"
    assert tracker.describe_ui() == "https://host.org"


def test_texts_are_logged_without_credentials(tmp_path, client):
    settings = {"experiment": "test", "system_metrics": False, "registered_model": None}
    pictures = {"images": 0, "every": 1}
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    tracker = Tracker(tmp_path, uri, pictures=pictures, secrets={"open-sesame"}, **settings)
    tracker.start("training", {"a": {"b": ["open-sesame"]}}, {"why": "https://ann:pass@host"})
    run_id = mlflow.active_run().info.run_id
    (tmp_path / "a.csv").write_text("id,file\n1,open-sesame\n")
    (tmp_path / "b.csv").write_text("id\n1\n")
    tracker.log_artifact(tmp_path / "a.csv")
    tracker.log_artifact(tmp_path / "b.csv")
    assert tracker.end(ValueError("open-sesame was refused")) == []
    run = client.get_run(run_id)
    assert run.data.params == {"a.b": "['***']"}
    assert run.data.tags["why"] == "https://host"
    assert run.data.tags["error"] == "ValueError: *** was refused"
    logged = tmp_path / "logged"
    logged.mkdir()
    logged = Path(client.download_artifacts(run_id, "", str(logged)))
    assert (logged / "a.csv").read_text() == "id,file\n1,***\n"
    assert (logged / "b.csv").read_text() == "id\n1\n"
    assert (tmp_path / "a.csv").read_text() == "id,file\n1,open-sesame\n"


def test_moved_project_is_told_where_its_artifacts_go(tracker, tmp_path, caplog):
    new = tmp_path / "moved"
    new.mkdir()
    (tmp_path / "mlflow.db").rename(new / "mlflow.db")
    Tracker(new, "sqlite:///mlflow.db", "some experiment", **SETTINGS)
    assert "MLFLOW_EXPERIMENT_NAME" in caplog.text


def test_a_few_images_are_followed_through_the_epochs(tracker, client):
    tracker.start("training", {}, {})
    run_id = mlflow.active_run().info.run_id
    label = np.zeros((30, 20), np.uint8)
    label[5:12, 5:12] = 1
    sample = Sample((label * 200)[:, :, None], label)
    for epoch in range(1, 11):
        for sample_id in ("a%b/1", "second", "third"):
            tracker.log_prediction(epoch, sample_id, sample, label, 2)
    assert tracker.end() == []
    pictures = [a.path for a in client.list_artifacts(run_id, "images") if a.path.endswith("png")]
    steps = sorted(tuple(path.split("+")[0:3:2]) for path in pictures)
    assert steps == sorted(
        (f"images/validation~{name}", str(epoch))
        for name in ("a_b_1", "second")
        for epoch in (1, 5, 10)
    )


@pytest.mark.parametrize("wrong", [{"images": -1, "every": 5}, {"images": 2, "every": 0}, {}])
def test_wrong_numbers_of_pictures_are_refused(tmp_path, wrong):
    with pytest.raises(InputError, match=r"mlflow.yml: pictures\.") as caught:
        Tracker(tmp_path, "sqlite:///mlflow.db", "a", **{**SETTINGS, "pictures": wrong})
    assert "is not allowed" in caught.value.problem


def test_system_metrics_can_be_switched_on(tmp_path, client, monkeypatch):
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.05")
    settings = {**SETTINGS, "system_metrics": True}
    tracker = Tracker(tmp_path, "sqlite:///mlflow.db", "some experiment", **settings)
    tracker.start("training", {}, {})
    run_id = mlflow.active_run().info.run_id
    for _ in range(100):
        if any(name.startswith("system/cpu") for name in client.get_run(run_id).data.metrics):
            break
        time.sleep(0.05)
    tracker.end()
    assert "system/cpu_utilization_percentage" in client.get_run(run_id).data.metrics


def test_a_server_that_fails_amid_a_training_does_not_end_it(tracker, client, monkeypatch, caplog):
    tracker.start("training", {}, {})
    run_id = mlflow.active_run().info.run_id
    hooks = TrackingHooks()
    hooks._tracker = tracker
    tracker.log_epoch(1, {"loss": 3.0})
    with monkeypatch.context() as patched:
        patched.setattr(mlflow.MlflowClient, "log_batch", _fail)  # carries metrics and tags
        tracker.log_epoch(2, {"loss": 2.0})
        hooks._identify({"tags": {"data_digest": "digest"}}, {"digest": "abc"})
        tracker.log_epoch(3, {"loss": 1.0})
    assert caplog.text.count("MLflow did not accept") == 1
    hooks._end(tracker)
    logged = sorted(client.get_metric_history(run_id, "loss"), key=lambda metric: metric.step)
    assert [(metric.step, metric.value) for metric in logged] == [(1, 3.0), (2, 2.0), (3, 1.0)]
    assert client.get_run(run_id).data.tags["data_digest"] == "abc"
    assert client.get_run(run_id).info.status == "FINISHED"


def test_what_never_gets_through_is_told_at_the_end(tracker, monkeypatch, capsys):
    tracker.start("training", {}, {})
    hooks = TrackingHooks()
    hooks._tracker = tracker
    monkeypatch.setattr(mlflow, "log_metrics", _fail)
    monkeypatch.setattr(mlflow, "end_run", _fail)
    tracker.log_epoch(7, {"loss": 2.0})
    hooks.after_pipeline_run(run_result={})
    assert "Not in MLflow: the scores of epoch 7, the run's end" in capsys.readouterr().out
    monkeypatch.undo()
    mlflow.tracking.fluent._active_run_stack.get().clear()


def _fail(*arguments, **named):
    raise ConnectionError("the server is gone")


def test_a_part_has_a_run_of_its_own_also_when_the_server_fails_just_then(
    tracker, client, monkeypatch
):
    tracker.start("cross_validation", {}, {})
    parent = mlflow.active_run().info
    with monkeypatch.context() as patched:
        patched.setattr(mlflow.MlflowClient, "create_run", _fail)
        with tracker.part("fold_0"):
            tracker.log_epoch(1, {"loss": 3.0})
    with suppress(ValueError), tracker.part("fold_1"):
        tracker.log_epoch(1, {"loss": 2.0})
        raise ValueError("something was wrong")
    tracker.log_metrics({"scores": {"dice": {"mean": 0.5, "spread": 0.1}}}, "out_of_fold")
    assert tracker.end() == []
    runs = {run.info.run_name: run for run in client.search_runs([parent.experiment_id])}
    metrics = {name: run.data.metrics for name, run in runs.items()}
    assert metrics == {
        "cross_validation": {"out_of_fold_dice": 0.5, "out_of_fold_dice_spread": 0.1},
        "fold_0": {"loss": 3.0},
        "fold_1": {"loss": 2.0},
    }
    assert runs["fold_0"].data.tags["mlflow.parentRunId"] == parent.run_id
    states = {name: run.info.status for name, run in runs.items()}
    assert states == {"cross_validation": "FINISHED", "fold_0": "FINISHED", "fold_1": "FAILED"}


def test_false_alarms_and_yardsticks_are_logged_and_what_is_unknown_is_not(tracker, client):
    tracker.start("training", {}, {})
    dice = {"mean": 0.5, "spread": None}
    metrics = {"scores": {"dice": dice}, "pooled": {"charged_dice": {"value": 0.4}}}
    yardsticks = {"Otsu's threshold": 0.3, "finding nothing": 0.0}
    counts = {"false_alarms": 3, "empty_images": 70, "yardsticks": yardsticks}
    tracker.log_metrics(metrics | counts)
    tracker.end()
    logged = client.get_run(tracker.name).data.metrics
    assert logged == {
        "test_dice": 0.5,
        "test_charged_dice": 0.4,
        "test_false_alarms": 3,
        "test_empty_images": 70,
        "test_charged_dice_of_otsu": 0.3,
        "test_charged_dice_of_finding_nothing": 0.0,
    }
