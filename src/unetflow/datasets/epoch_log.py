"""Where a training tells the scores of each epoch."""

from typing import TYPE_CHECKING, Any, NoReturn

from kedro.io import AbstractDataset, DatasetError

if TYPE_CHECKING:
    from unetflow.unet.callbacks import EpochListener


class MlflowEpochLogDataset(AbstractDataset[NoReturn, "EpochListener"]):
    """Gives a function that logs an epoch's scores to the active MLflow run.

    Without an active run the function does nothing, so that a training node also works alone.

    Args:
        metadata: Anything; Kedro ignores it.
    """

    def __init__(self, *, metadata: dict[str, Any] | None = None) -> None:
        self.metadata = metadata

    def load(self) -> "EpochListener":
        """Return the function; epochs count from 0 there and from 1 in MLflow."""
        return _log_epoch

    def save(self, data: NoReturn) -> None:
        """Refuse: the scores come in through the function that `load` returns."""
        raise DatasetError("The epoch log is only an input of the training.")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {}


def _log_epoch(epoch: int, scores: dict[str, float]) -> None:
    import mlflow

    if mlflow.active_run():
        mlflow.log_metrics({name: float(value) for name, value in scores.items()}, step=epoch + 1)
