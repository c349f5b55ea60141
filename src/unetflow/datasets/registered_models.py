"""Models of a file or of MLflow's registry, and what the registry says of them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from unetflow.core.errors import InputError
from unetflow.datasets.file_datasets import load_keras_model, load_segmenter
from unetflow.datasets.read_only import ReadOnlyDataset

if TYPE_CHECKING:
    import keras

    from unetflow.inference.segmenter import Segmenter


_ABSENT = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}
"""MLflow's errors where there is no such model, or none with the alias."""


class ModelSourceDataset(ReadOnlyDataset[Any]):
    """A model of a file or of MLflow's registry, read in safe mode.

    Args:
        source: A `.keras` file, or a registered model such as `models:/unetflow@champion` or
            `models:/unetflow/3`; None: none.
        use: `segmenter` gives a `Segmenter`; `start` gives the source and a Keras model whose
            weights a training begins with.
    """

    def __init__(
        self,
        *,
        source: str | None,
        use: Literal["segmenter", "start"],
        metadata: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(metadata=metadata, source=source, use=use)
        self._source, self._use = source, use

    def load(self) -> "Segmenter | tuple[str, keras.Model] | None":
        """Read the model; None without a source.

        Raises:
            InputError: There is no such model.
        """
        if self._source is None:
            return None
        parameter = "segmenter" if self._use == "segmenter" else "start_from"
        is_registered = self._source.startswith("models:/")
        path = download_model(self._source, parameter) if is_registered else Path(self._source)
        if not path.is_file():
            raise InputError(
                parameter,
                f"there is no file {path}",
                "Give the path of a `.keras` file, or a model of the registry as in "
                "models:/unetflow@champion",
            )
        if self._use == "segmenter":
            return load_segmenter(path)
        return self._source, load_keras_model(path)


def find_version(registered_model: str, alias: str) -> str | None:
    """Return the version of a registered model that has an alias; None where none has.

    Raises:
        mlflow.MlflowException: The registry cannot be asked.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        return str(MlflowClient().get_model_version_by_alias(registered_model, alias).version)
    except MlflowException as error:
        if error.error_code in _ABSENT:
            return None
        raise


def download_model(source: str, parameter: str) -> Path:
    """Return the file of a registered model, which is downloaded if it is stored elsewhere."""
    import mlflow

    try:
        folder = Path(mlflow.artifacts.download_artifacts(source))
    except mlflow.MlflowException as error:
        raise InputError(
            parameter,
            f"there is no model {source} ({error.message})",
            "Give a model of the registry, or the path of a `.keras` file",
        ) from error
    files = sorted(folder.rglob("*.keras"))
    if len(files) != 1:
        raise InputError(
            parameter,
            f"{source} holds {len(files)} `.keras` files",
            "Give a model that this project has logged",
        )
    return files[0]
