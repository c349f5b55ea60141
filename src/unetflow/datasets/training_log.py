"""Progress of a training, from its node to the tracker."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from unetflow.core.atomic import atomic_write
from unetflow.core.types import Label
from unetflow.data.samples import Sample
from unetflow.datasets.read_only import ReadOnlyDataset

if TYPE_CHECKING:
    from unetflow.training.callbacks import TrainingListeners

_log = logging.getLogger(__name__)

LogScores: TypeAlias = Callable[[Mapping[str, Any]], None]
BeginFold: TypeAlias = Callable[
    [str], AbstractContextManager[tuple["TrainingListeners", LogScores]]
]


class Recorder(Protocol):
    """Keeps the record of a training, with epochs counted from 1."""

    def log_epoch(self, epoch: int, scores: dict[str, float]) -> None:
        """Record the scores of an epoch."""

    def log_prediction(
        self, epoch: int, sample_id: str, sample: Sample, found: Label, classes: int
    ) -> None:
        """Record the predicted label `(height, width)` of a validation image."""

    @property
    def name(self) -> str:
        """Identifier of the record."""

    def resume(self, record: str | None, scores: Sequence[Mapping[str, float]]) -> None:
        """Resume the record of this name with the scores of its finished epochs."""

    def log_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Record the scores of held-out images; see `evaluation.scoring.summarise_scores`."""

    def part(self, name: str) -> AbstractContextManager[None]:
        """Record what comes inside the context as a part of the whole record."""


class TrainingLogDataset(ReadOnlyDataset[Any]):
    """Gives functions that a training calls to report its progress.

    They pass the scores and the predictions of an epoch on to a recorder; without one they do
    nothing, so that a training node also works alone. One writes a JSON file about the batch at
    which the loss is not a number any more.

    Args:
        bad_batch: That file; it is there only after a training that failed so.
        folds: Whether several trainings report: then a function is loaded that begins the record of
            one of them by its name. It returns a context with the functions that the training
            calls, and one that takes its scores.
    """

    def __init__(
        self, *, bad_batch: str, folds: bool = False, metadata: dict[str, Any] | None = None
    ) -> None:
        self._bad_batch = Path(bad_batch)
        super().__init__(metadata=metadata, bad_batch=str(self._bad_batch))
        self._folds = folds
        self._recorder: Recorder | None = None

    def connect(self, recorder: Recorder) -> None:
        """Set the recorder of all trainings from now on."""
        self._recorder = recorder

    def load(self) -> "TrainingListeners | BeginFold":
        """Return the functions, and remove what an earlier training has written."""
        return self._begin_fold if self._folds else self._listeners()

    @contextmanager
    def _begin_fold(self, name: str) -> Iterator[tuple["TrainingListeners", LogScores]]:
        with self._recorder.part(name) if self._recorder else nullcontext():
            yield self._listeners(), self._log_scores

    def _listeners(self) -> "TrainingListeners":
        from unetflow.training.callbacks import TrainingListeners

        self._bad_batch.unlink(missing_ok=True)
        return TrainingListeners(
            self._log_epoch,
            self._write_bad_batch,
            self._log_prediction,
            name_record=lambda: self._recorder.name if self._recorder else None,
            on_resumed=self._resume,
        )

    def _log_epoch(self, epoch: int, scores: dict[str, float]) -> None:
        if self._recorder is not None:
            plain = {name: float(value) for name, value in scores.items()}
            self._recorder.log_epoch(epoch + 1, plain)

    def _resume(self, record: str | None, scores: list[dict[str, float]]) -> None:
        if self._recorder is not None:
            self._recorder.resume(record, scores)

    def _log_prediction(
        self, epoch: int, sample_id: str, sample: Sample, found: Label, classes: int
    ) -> None:
        if self._recorder is not None:
            self._recorder.log_prediction(epoch + 1, sample_id, sample, found, classes)

    def _log_scores(self, metrics: Mapping[str, Any]) -> None:
        if self._recorder is not None:
            self._recorder.log_metrics(metrics)

    def _write_bad_batch(self, batch: dict[str, Any]) -> None:
        with atomic_write(self._bad_batch) as temporary:
            temporary.write_text(json.dumps(batch, indent=2), encoding="utf-8")
        _log.error("The samples of the batch are listed in %s", self._bad_batch)
