"""Where a training tells how it goes."""

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from kedro.io import AbstractDataset, DatasetError

from unetflow.imaging.files import replacing

if TYPE_CHECKING:
    from unetflow.unet.callbacks import TrainingListeners

_log = logging.getLogger(__name__)


class TrainingLogDataset(AbstractDataset[NoReturn, "TrainingListeners"]):
    """Gives functions that a training calls.

    One logs an epoch's scores to the active MLflow run; without one it does nothing, so that a
    training node also works alone. The other writes a JSON file about the batch at which the loss
    is no number any more.

    Args:
        bad_batch: The file about that batch; it is there only after a training that failed so.
        metadata: Anything; Kedro ignores it.
    """

    def __init__(self, *, bad_batch: str, metadata: dict[str, Any] | None = None) -> None:
        self._bad_batch = Path(bad_batch)
        self.metadata = metadata

    def load(self) -> "TrainingListeners":
        """Return the functions, and take away what an earlier training has written."""
        from unetflow.unet.callbacks import TrainingListeners

        self._bad_batch.unlink(missing_ok=True)
        return TrainingListeners(_log_epoch, self._write_bad_batch)

    def save(self, data: NoReturn) -> None:
        """Refuse: what there is to tell comes in through the functions that `load` returns."""
        raise DatasetError("The training log is only an input of the training.")

    def _write_bad_batch(self, batch: dict[str, Any]) -> None:
        with replacing(self._bad_batch) as temporary:
            temporary.write_text(json.dumps(batch, indent=2), encoding="utf-8")
        _log.error("The samples of the batch are listed in %s", self._bad_batch)

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"bad_batch": str(self._bad_batch)}


def _log_epoch(epoch: int, scores: dict[str, float]) -> None:
    """Log the scores of an epoch; epochs count from 0 in Keras and from 1 in MLflow."""
    import mlflow

    if mlflow.active_run():
        mlflow.log_metrics({name: float(value) for name, value in scores.items()}, step=epoch + 1)
