"""One retraining at a time, and its outcome in `retraining.json`."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from filelock import FileLock, Timeout
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from unetflow.config.base import dump_parameters
from unetflow.core.atomic import atomic_write
from unetflow.core.errors import InputError
from unetflow.hooks.catalog_entries import CatalogHooks
from unetflow.pipelines.retraining.runner import SKIPPED
from unetflow.tracking.mlflow_runs import read_run_key

_OUTCOME = "retraining_outcome"


class RetrainingHooks(CatalogHooks):
    """Locks the folder for one retraining or rollback, and writes the outcome of a retraining."""

    def __init__(self) -> None:
        super().__init__()
        self._lock: FileLock | None = None
        self._writes_outcome = False

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        """Wait for the lock; the operating system releases the lock of a killed process.

        Raises:
            InputError: Another retraining or rollback holds the lock for longer than this one may
                wait, or began between two stages of this one.
        """
        self._writes_outcome = False
        names = set(run_params["pipeline_names"] or ())
        if not names & {"retraining", "rollback"}:
            return
        parameters = dump_parameters(catalog.load("parameters"))
        retrains = "retraining" in names
        if retrains and parameters.get("start_from") is not None:
            raise InputError(
                "start_from",
                "a retraining starts from the champion or from scratch",
                "Leave it out, and set `retraining.start_from`",
            )
        outcome = Path(self._entries[_OUTCOME]["filepath"])
        outcome.parent.mkdir(parents=True, exist_ok=True)
        self._acquire(outcome.with_suffix(".lock"), parameters["retraining"]["wait_minutes"])
        if retrains:
            self._claim(outcome.with_suffix(".run"), pipeline)
        self._writes_outcome = retrains

    @hook_impl
    def after_pipeline_run(
        self, run_result: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        """Write the decision; a stage before the decision writes nothing."""
        if SKIPPED in run_result:
            self._write(catalog, {"decision": "skipped", "reason": run_result[SKIPPED]})
        elif "retraining_decision" in pipeline.all_outputs():
            self._write(catalog, catalog.load("retraining_decision"))
        self._release()

    @hook_impl
    def on_pipeline_error(self, error: Exception, catalog: DataCatalog) -> None:
        """Write that the retraining failed, and why."""
        self._write(catalog, {"decision": "failed", "reason": f"{type(error).__name__}: {error}"})
        self._release()

    def _acquire(self, path: Path, minutes: float) -> None:
        self._lock = FileLock(path)
        try:
            self._lock.acquire(timeout=60 * minutes)
        except Timeout as error:
            raise InputError(
                "retraining",
                "another retraining or rollback is running in this folder, and did not end "
                f"within {minutes:g} minutes",
                "Wait for it, or raise `retraining.wait_minutes`",
            ) from error

    def _claim(self, owner: Path, pipeline: Pipeline) -> None:
        """Write which run owns the folder's files, or check that this run still does."""
        key = read_run_key()
        if any("ingestion" in node.tags for node in pipeline.nodes):  # the first stage
            with atomic_write(owner) as temporary:
                temporary.write_text(key or "", "utf-8")
        elif key is not None and not (owner.exists() and owner.read_text("utf-8") == key):
            self._release()
            raise InputError(
                "retraining",
                "another retraining has started in this folder since this one's last stage",
                "Start a new one",
            )

    def _write(self, catalog: DataCatalog, decision: dict[str, Any]) -> None:
        if not self._writes_outcome:
            return
        run = sys.modules["mlflow"].active_run() if "mlflow" in sys.modules else None
        outcome = {
            **decision,
            "run_id": run.info.run_id if run else None,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        catalog.save(_OUTCOME, outcome)
        click.echo(f"\nRetraining: {decision['decision']}, {decision['reason']}")

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None
