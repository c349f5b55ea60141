"""Keras models as catalog entries; Keras is imported when one is loaded or saved."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractDataset, DatasetError

from unetflow.core.errors import InputError
from unetflow.datasets.one_file import OneFileDataset
from unetflow.datasets.registry import download_model

if TYPE_CHECKING:
    import keras

    from unetflow.inference.segmenter import Segmenter


class KerasModelDataset(OneFileDataset[Any, Any]):
    """A Keras model, written in one step and loaded in safe mode."""

    def load(self) -> "keras.Model":
        """Read the model."""
        from unetflow.models.keras_io import load_keras

        return load_keras(self._filepath)

    def save(self, data: "keras.Model") -> None:
        """Replace the file."""
        from unetflow.models.keras_io import save_keras

        save_keras(data, self._filepath)


class SegmenterDataset(OneFileDataset[Any, Any]):
    """A segmenter: model, preprocessing, threshold and class names in one file."""

    def load(self) -> "Segmenter":
        """Read the segmenter."""
        from unetflow.inference.segmenter import Segmenter

        return Segmenter.load(self._filepath)

    def save(self, data: "Segmenter") -> None:
        """Replace the file."""
        data.save(self._filepath)


class ChosenSegmenterDataset(AbstractDataset[Any, Any]):
    """A segmenter that somebody chose: a file, or one of MLflow's registry.

    Args:
        source: The file that `SegmenterDataset` writes, or a registered model, such as
            `models:/unetflow@champion` or `models:/unetflow/3`.
        metadata: Anything; Kedro ignores it.
    """

    def __init__(self, *, source: str, metadata: dict[str, Any] | None = None) -> None:
        self._source = source
        self.metadata = metadata

    def load(self) -> "Segmenter":
        """Read the segmenter in safe mode."""
        from unetflow.inference.segmenter import Segmenter

        return Segmenter.load(find_model(self._source, "segmenter"))

    def save(self, data: Any) -> None:
        """Refuse: a model is used here, not made."""
        raise DatasetError("The chosen model is only read.")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"source": self._source}


class StartModelDataset(AbstractDataset[Any, Any]):
    """The model whose weights a training begins with, if there is one.

    Args:
        source: A `.keras` file, or a model of MLflow's registry, such as
            `models:/unetflow@champion` or `models:/unetflow/3`; None: none.
        metadata: Anything; Kedro ignores it.
    """

    def __init__(self, *, source: str | None, metadata: dict[str, Any] | None = None) -> None:
        self._source = source
        self.metadata = metadata

    def load(self) -> "tuple[str, keras.Model] | None":
        """Read the model in safe mode, and say where it comes from; None where there is none."""
        from unetflow.models.keras_io import load_keras

        if self._source is None:
            return None
        return self._source, load_keras(find_model(self._source, "start_from"))

    def save(self, data: Any) -> None:
        """Refuse: a training begins with a model, it does not change it."""
        raise DatasetError("The model that a training begins with is only read.")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"source": self._source}


def find_model(source: str, parameter: str) -> Path:
    """Return the `.keras` file of a model.

    Args:
        source: The file itself, or a model of MLflow's registry, which is fetched if it lies
            elsewhere.
        parameter: That names the source, for messages.

    Raises:
        InputError: There is no such model.
    """
    if source.startswith("models:/"):
        return download_model(source, parameter)
    path = Path(source)
    if not path.is_file():
        raise InputError(
            parameter,
            f"there is no file {path}",
            "Give the path of a `.keras` file, or a model of the registry as in "
            "models:/unetflow@champion",
        )
    return path
