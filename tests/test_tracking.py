import subprocess
import sys
from pathlib import Path

import git
import pytest

from unetflow.tracking import Tracker, flatten, git_tags


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


def test_missing_git_is_no_error(tmp_path):
    code = "import sys; from unetflow.tracking import git_tags; print(git_tags(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": ""},
    )
    assert done.stdout.strip() == "{}"


@pytest.fixture
def tracker(tmp_path: Path, empty_mlflow: Path) -> Tracker:
    (tmp_path / "mlflow.db").write_bytes(empty_mlflow.read_bytes())
    return Tracker(tmp_path, "sqlite:///mlflow.db", "some experiment")


def test_failed_run_is_marked_with_its_error(tracker, tmp_path):
    import mlflow

    tracker.start("training", {"a": {"b": 1}}, {"env": "local"})
    run_id = mlflow.active_run().info.run_id
    tracker.end(ValueError("something was wrong"))
    run = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}").get_run(run_id)
    assert run.info.status == "FAILED"
    assert run.data.tags["error"] == "ValueError: something was wrong"
    assert run.data.params == {"a.b": "1"}
    assert run.info.artifact_uri.startswith((tmp_path / "mlruns").as_uri())


def test_ended_run_leaves_the_environment_as_it_was(tracker, monkeypatch):
    import os

    tracker.start("ingestion", {}, {})
    assert "MLFLOW_TRACKING_URI" in os.environ
    tracker.end()
    assert "MLFLOW_TRACKING_URI" not in os.environ


def test_interrupted_run_is_ended_by_the_next_one(tracker, tmp_path):
    import mlflow

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


def test_moved_project_is_told_where_its_artifacts_go(tracker, tmp_path, caplog):
    new = tmp_path / "moved"
    new.mkdir()
    (tmp_path / "mlflow.db").rename(new / "mlflow.db")
    Tracker(new, "sqlite:///mlflow.db", "some experiment")
    assert "MLFLOW_EXPERIMENT_NAME" in caplog.text
