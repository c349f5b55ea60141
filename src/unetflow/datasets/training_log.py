"""Where a training tells how it goes."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeAlias

from kedro.io import AbstractDataset, DatasetError

from unetflow.core.atomic import atomic_write
from unetflow.core.types import Label
from unetflow.data.samples import Sample

if TYPE_CHECKING:
    from unetflow.training.callbacks import TrainingListeners

_log = logging.getLogger(__name__)

TellScores: TypeAlias = Callable[[Mapping[str, Any]], None]
BeginFold: TypeAlias = Callable[
    [str], AbstractContextManager[tuple["TrainingListeners", TellScores]]
]


class Recorder(Protocol):
    """What keeps the record of a training; epochs count from 1."""

    def log_epoch(self, epoch: int, scores: dict[str, float]) -> None:
        """Take the scores of an epoch."""

    def log_prediction(
        self, epoch: int, sample_id: str, sample: Sample, found: Label, classes: int
    ) -> None:
        """Take the label `(height, width)` that was found in a validation image."""

    @property
    def name(self) -> str:
        """What finds the record again."""

    def resume(self, record: str | None, scores: Sequence[Mapping[str, float]]) -> None:
        """Resume the record of an interrupted training.

        Args:
            record: Its name, None where it had none.
            scores: Of the epochs that are done.
        """

    def log_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Take the scores of held-out images; see `evaluation.scoring.summarise_scores`."""

    def part(self, name: str) -> AbstractContextManager[None]:
        """Keep what comes in meanwhile as a part of the whole record."""


class _LogDataset(AbstractDataset[NoReturn, Any]):
    """What the logs of one training and of several share.

    Args:
        bad_batch: The file about a batch at which the loss is no number any more; it is there only
            after a training that failed so.
        metadata: Anything; Kedro ignores it.
    """

    def __init__(self, *, bad_batch: str, metadata: dict[str, Any] | None = None) -> None:
        self._bad_batch = Path(bad_batch)
        self._recorder: Recorder | None = None
        self.metadata = metadata

    def connect(self, recorder: Recorder) -> None:
        """Name the recorder that trainings from now on are told to."""
        self._recorder = recorder

    def save(self, data: NoReturn) -> None:
        """Refuse: what there is to tell comes in through the functions that `load` returns."""
        raise DatasetError("The training log is only an input of the training.")

    def _listeners(self) -> "TrainingListeners":
        from unetflow.training.callbacks import TrainingListeners

        self._bad_batch.unlink(missing_ok=True)
        return TrainingListeners(
            self._log_epoch,
            self._write_bad_batch,
            self._log_prediction,
            name_record=lambda: self._recorder.name if self._recorder else None,
            on_resumed=self._go_on,
        )

    def _log_epoch(self, epoch: int, scores: dict[str, float]) -> None:
        if self._recorder is not None:
            plain = {name: float(value) for name, value in scores.items()}
            self._recorder.log_epoch(epoch + 1, plain)

    def _go_on(self, record: str | None, scores: list[dict[str, float]]) -> None:
        if self._recorder is not None:
            self._recorder.resume(record, scores)

    def _log_prediction(
        self, epoch: int, sample_id: str, sample: Sample, found: Label, classes: int
    ) -> None:
        if self._recorder is not None:
            self._recorder.log_prediction(epoch + 1, sample_id, sample, found, classes)

    def _write_bad_batch(self, batch: dict[str, Any]) -> None:
        with atomic_write(self._bad_batch) as temporary:
            temporary.write_text(json.dumps(batch, indent=2), encoding="utf-8")
        _log.error("The samples of the batch are listed in %s", self._bad_batch)

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"bad_batch": str(self._bad_batch)}


class TrainingLogDataset(_LogDataset):
    """Gives functions that a training calls.

    Two pass the scores and the predictions of an epoch on to a recorder; without one they do
    nothing, so that a training node also works alone. The third writes a JSON file about the batch
    at which the loss is no number any more.
    """

    def load(self) -> "TrainingListeners":
        """Return the functions, and take away what an earlier training has written."""
        return self._listeners()


class FoldLogDataset(_LogDataset):
    """Gives a function that begins the record of one training among several, by its name.

    It returns a context with the functions that the training calls, and one that takes its scores.
    """

    def load(self) -> BeginFold:
        """Return the function."""
        return self._begin

    @contextmanager
    def _begin(self, name: str) -> Iterator[tuple["TrainingListeners", TellScores]]:
        with self._recorder.part(name) if self._recorder else nullcontext():
            yield self._listeners(), self._log_scores

    def _log_scores(self, metrics: Mapping[str, Any]) -> None:
        if self._recorder is not None:
            self._recorder.log_metrics(metrics)
