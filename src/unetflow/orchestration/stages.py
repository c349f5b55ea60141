"""The stages of a retraining, each of which is a `kedro run` and a process of its own."""

import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

from unetflow.tracking.mlflow_runs import RUN_KEY

STAGES = {
    "ingestion": ("ingestion",),
    "gate": ("gate",),
    "preparation": ("planning", "augmentation", "construction"),
    "training": ("training",),
    "evaluation": ("evaluation",),
    "decision": ("decision",),
}
"""In their order, with the tags of Kedro's nodes that belong to each."""

_GRACE_SECONDS = 30
_LINES_KEPT = 20


class StageError(RuntimeError):
    """A stage has failed or taken too long; the message ends with what it printed last."""


def build_command(stage: str) -> list[str]:
    """Return the command that runs a stage in the project's folder."""
    tags = ",".join(STAGES[stage])
    return [sys.executable, "-m", "unetflow", "--pipelines", "retraining", "--tags", tags]


def run_stage(
    project: Path, stage: str, key: str, time_limit: float, tell: Callable[[str], None] = print
) -> None:
    """Run a stage to its end, and call `tell` with each line that it prints.

    All stages with the same key belong to one run of MLflow. After the time limit, in seconds, the
    stage is interrupted, and killed if that does not help.

    Raises:
        StageError: It failed or was interrupted.
    """
    process = subprocess.Popen(  # noqa: S603 -- nothing of it comes from outside
        build_command(stage),
        cwd=project,
        env={**os.environ, RUN_KEY: key, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    late = threading.Event()

    def interrupt() -> None:
        late.set()
        _stop(process)

    timer = threading.Timer(time_limit, interrupt)
    last: deque[str] = deque(maxlen=_LINES_KEPT)
    with process:
        timer.start()
        try:
            for line in process.stdout or ():
                last.append(line)
                tell(line.rstrip("\n"))
            code = process.wait()
        finally:  # also when the orchestrator cancels
            timer.cancel()
            _stop(process)
    if late.is_set():
        raise StageError(
            f"{stage} took longer than {time_limit / 3600:g} hours. See why, or raise "
            "`time_limit_hours` in conf/base/orchestration.yml."
        )
    if code:
        raise StageError(f"{stage} ended with exit code {code}:\n{''.join(last)}")


def _stop(process: subprocess.Popen[str]) -> None:
    """Interrupt a process, so that it can end its MLflow run; kill it if it goes on."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
