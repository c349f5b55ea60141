"""What happens around a retraining: one at a time, and a word to the program that started it."""

import logging
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from filelock import FileLock, Timeout
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from unetflow.config.validation import dump_parameters
from unetflow.core.atomic import atomic_write
from unetflow.core.errors import InputError, NothingToDo
from unetflow.tracking.stage_runs import read_run_key

_OUTCOME = "retraining_outcome"
_ALARMING = ("kedro.pipeline.node", "kedro.runner.sequential_runner", "kedro.runner.thread_runner")
"""Loggers that report an exception of a node as an error."""


class RetrainingHooks:
    """Lets one retraining or rollback run at a time, and writes `retraining.json` at its end."""

    def __init__(self) -> None:
        self._project = Path()
        self._entries: dict[str, dict[str, Any]] = {}
        self._lock: FileLock | None = None
        self._retrains, self._decides = False, False

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Remember where the project lies."""
        self._project = Path(context.project_path)

    @hook_impl
    def after_catalog_created(self, conf_catalog: dict[str, Any]) -> None:
        """Remember what the catalog says of each entry."""
        self._entries = conf_catalog

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        """Wait until no other retraining is at work in this folder; the system frees its lock.

        Raises:
            InputError: Another one is, and goes on for longer than this one may wait; or it began
                between two parts of this one.
        """
        names = set(run_params["pipeline_names"] or ())
        self._retrains = "retraining" in names
        self._decides = "retraining_decision" in pipeline.all_outputs()  # not if run in parts
        if not names & {"retraining", "rollback"}:
            return
        parameters = dump_parameters(catalog.load("parameters"))
        if self._retrains and parameters.get("start_from") is not None:
            raise InputError(
                "start_from",
                "a retraining begins with the champion or from scratch",
                "Leave it out, and set `retraining.start_from`",
            )
        for name in _ALARMING:
            logging.getLogger(name).addFilter(_is_a_failure)
        outcome = Path(self._entries[_OUTCOME]["filepath"])
        outcome.parent.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(outcome.with_suffix(".lock"))
        minutes = parameters["retraining"]["wait_minutes"]
        try:
            self._lock.acquire(timeout=60 * minutes)
            if self._retrains:
                self._claim(outcome.with_suffix(".run"), pipeline)
        except Timeout as error:
            self._retrains = self._decides = False  # the outcome is the other one's
            raise InputError(
                "retraining",
                f"another retraining or rollback is at work in this folder, and did not end "
                f"within {minutes:g} minutes",
                "Wait for it, or raise `retraining.wait_minutes`",
            ) from error

    def _claim(self, owner: Path, pipeline: Pipeline) -> None:
        """Write down whose files lie in the folder, or look whether they are still this run's."""
        key = read_run_key()
        if any("ingestion" in node.tags for node in pipeline.nodes):  # where each one begins
            with atomic_write(owner) as temporary:
                temporary.write_text(key or "", "utf-8")
        elif key is not None and not (owner.exists() and owner.read_text("utf-8") == key):
            self._retrains = self._decides = False
            self._release()
            raise InputError(
                "retraining",
                "another retraining has begun in this folder since this one's last stage",
                "Start a new one",
            )

    @hook_impl
    def after_pipeline_run(self, catalog: DataCatalog) -> None:
        """Write down the decision."""
        if self._decides:
            known = catalog.load("retraining_decision")
            self._conclude(catalog, known)
        self._release()

    @hook_impl
    def on_pipeline_error(self, error: Exception, catalog: DataCatalog) -> None:
        """Write down that there was nothing to do, or that the retraining failed."""
        if self._retrains:
            skipped = isinstance(error, NothingToDo)
            decision = "skipped" if skipped else "failed"
            reason = str(error) if skipped else f"{type(error).__name__}: {error}"
            self._conclude(catalog, {"decision": decision, "reason": reason})
        self._release()

    def _conclude(self, catalog: DataCatalog, known: dict[str, Any]) -> None:
        run = sys.modules["mlflow"].active_run() if "mlflow" in sys.modules else None
        outcome = {
            **known,
            "run_id": run.info.run_id if run else None,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        catalog.save(_OUTCOME, outcome)
        click.echo(f"\nRetraining: {known['decision']}, {known['reason']}")

    def _release(self) -> None:
        for name in _ALARMING:
            logging.getLogger(name).removeFilter(_is_a_failure)
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def _is_a_failure(_record: logging.LogRecord) -> bool:
    """Tell whether what is logged is about more than that there is nothing to do."""
    return not isinstance(sys.exc_info()[1], NothingToDo)
