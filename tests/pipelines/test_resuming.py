"""`kedro run` after a kill, as a user sees it."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from click.testing import Result

from tests.conftest import TINY, kedro_run, make_project
from tests.support.waiting import wait_until
from unetflow.models.keras_io import load_keras

pytestmark = pytest.mark.process

LONG = TINY.replace("training.epochs=2", "training.epochs=12")
COMMAND = ("--pipelines", "training", "--to-nodes", "training.train_unet", "--params")


@pytest.fixture(scope="module")
def killed_once(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> Path:
    """Return a project in which a training was killed after an epoch."""
    project = make_project(tmp_path_factory.mktemp("killed") / "project", empty_mlflow)
    script = (
        "import sys\nfrom kedro.framework.project import configure_project\n"
        "from unetflow.cli import cli\nconfigure_project('unetflow')\ncli(['run', *sys.argv[1:]])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, *COMMAND, LONG],
        cwd=project,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        wait_until(lambda: process.poll() is not None or _states(project), pause=0.01)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    return project


@pytest.fixture
def killed(killed_once: Path, tmp_path: Path) -> Path:
    """Return a copy of that project."""
    return shutil.copytree(killed_once, tmp_path / "copy")


def _states(project: Path) -> list[Path]:
    return [p for p in project.glob("data/06_models/checkpoints/*.npz") if p.name[0] != "."]


def _runs(project: Path) -> list[mlflow.entities.Run]:
    client = mlflow.MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("unetflow").experiment_id
    return list(client.search_runs([experiment]))


def _curve(project: Path, run: mlflow.entities.Run) -> list[tuple[int, float]]:
    client = mlflow.MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    points = client.get_metric_history(run.info.run_id, "val_dice")
    return sorted((point.step, point.value) for point in points)


def test_the_same_command_is_resumed_in_the_same_mlflow_run(killed: Path) -> None:
    (before,) = _runs(killed)
    assert before.info.status == "RUNNING"
    begun = len(_curve(killed, before))
    assert 0 < begun < 12
    changed = LONG + ",training.workers=1"  # which changes nothing
    result = kedro_run(killed, *COMMAND, changed)
    assert result.exit_code == 0, result.output
    (run,) = _runs(killed)
    assert (run.info.run_id, run.info.status) == (before.info.run_id, "FINISHED")
    history = pd.read_csv(killed / "data/08_reporting/history.csv")
    curve = list(zip(history["epoch"], history["val_dice"], strict=True))
    assert _curve(killed, run) == pytest.approx(curve)
    assert len(curve) == 12
    assert not _states(killed)

    # The same without a kill
    again = ("--pipelines", "training", "--nodes", "training.train_unet", "--params", changed)
    run_again = kedro_run(killed, *again)
    assert run_again.exit_code == 0, run_again.output
    same = pd.read_csv(killed / "data/08_reporting/history.csv")
    pd.testing.assert_frame_equal(same, history)
    client = mlflow.MlflowClient(f"sqlite:///{killed / 'mlflow.db'}")
    assert len(_runs(killed)) == 2
    resumed = Path(client.download_artifacts(run.info.run_id, "history.csv"))
    assert resumed.read_text() == (killed / "data/08_reporting/history.csv").read_text()


def test_other_parameters_start_again_and_the_log_names_the_differences(killed: Path) -> None:
    other = LONG.replace("epochs=12", "epochs=1") + ",training.learning_rate=0.003"
    result = kedro_run(killed, *COMMAND, other)
    assert result.exit_code == 0, result.output
    output = "".join(result.output.split())  # the log breaks lines amid words
    assert "training.epochs(12there,1now)" in output
    assert "training.learning_rate(" in output
    assert len(_runs(killed)) == 2
    assert len(_states(killed)) == 1  # of the one that was killed


@pytest.mark.xdist_group("finished")
def test_a_run_that_fails_after_its_training_does_not_train_again_and_has_the_same_scores(
    finished: tuple[Path, Result], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, os.strerror(28))

    command = ("--pipelines", "training", "--to-nodes", "evaluation.summarise", "--params", TINY)
    with monkeypatch.context() as patch:
        patch.setattr("unetflow.evaluation.summary.confidence_interval", fail)
        failed = kedro_run(project, *command)
    assert failed.exit_code == 1
    weights = load_keras(project / "data/06_models/unet.keras").get_weights()
    (before,) = _runs(project)
    assert before.info.status == "FAILED"
    result = kedro_run(project, *command)
    assert result.exit_code == 0, result.output
    (run,) = _runs(project)
    assert run.info.run_id == before.info.run_id
    assert run.info.status == "FINISHED"
    assert "error" not in run.data.tags
    assert len(_curve(project, run)) == 2
    again = load_keras(project / "data/06_models/unet.keras").get_weights()
    for weight, expected in zip(again, weights, strict=True):
        np.testing.assert_array_equal(weight, expected)
    # The same seed in another project, whose run did not fail
    for name in ("history.csv", "image_scores.csv", "metrics.json"):
        path = Path("data/08_reporting") / name
        assert (project / path).read_bytes() == (finished[0] / path).read_bytes()
