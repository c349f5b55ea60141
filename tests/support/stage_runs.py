"""Stages of a retraining in this process, which has imported everything already."""

import sys
from pathlib import Path

import pytest

from tests.conftest import kedro_run
from unetflow.orchestration.stages import StageError, build_command
from unetflow.tracking.mlflow_runs import RUN_KEY


def run_stage_here(project: Path, stage: str, key: str, limit: float) -> None:
    """Run a stage as `run_stage` does, but for the process of its own and the time limit."""
    arguments = build_command(stage)[3:]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(RUN_KEY, key)
        patch.setattr(sys, "argv", ["unetflow", *arguments])  # stands in the run of MLflow
        result = kedro_run(project, *arguments)
    if result.exit_code:
        raise StageError(f"{stage} ended with {result.exception!r}:\n{result.output}")
