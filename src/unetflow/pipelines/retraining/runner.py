"""Kedro runner that trains only where there is a reason to."""

import logging
from typing import Any

from kedro.pipeline import Pipeline
from kedro.runner import SequentialRunner

SKIPPED = "skipped"
"""Key of a run's result that holds the reason why nothing was trained."""

_REASON = "retraining_reason"

_log = logging.getLogger(__name__)


class RetrainingRunner(SequentialRunner):
    """Runs the nodes up to the gate, and the others if the gate found a reason to train.

    A pipeline without the gate runs as in `SequentialRunner`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._skipped: str | None = None

    def run(self, pipeline: Pipeline, catalog: Any, *args: Any, **options: Any) -> dict[str, Any]:
        """Run the pipeline; see `SequentialRunner.run`.

        Returns:
            The pipeline's outputs, or `{SKIPPED: reason}` where nothing was trained.
        """
        self._skipped = None
        outputs: dict[str, Any] = super().run(pipeline, catalog, *args, **options)
        return outputs if self._skipped is None else {SKIPPED: self._skipped}

    def _run(self, pipeline: Pipeline, catalog: Any, *args: Any, **options: Any) -> None:
        if _REASON not in pipeline.all_outputs():
            super()._run(pipeline, catalog, *args, **options)
            return
        gate = pipeline.to_outputs(_REASON)
        super()._run(gate, catalog, *args, **options)
        found = catalog.load(_REASON)
        if not found["due"]:
            self._skipped = found["reason"]
            _log.info("Nothing is trained: %s", found["reason"])
            return
        _log.info("Training, because %s", found["reason"])
        super()._run(pipeline - gate, catalog, *args, **options)
