"""Keras models as catalog entries; Keras is imported when one is loaded or saved."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractDataset, DatasetError

from unetflow.imaging.errors import InputError

if TYPE_CHECKING:
    import keras

    from unetflow.unet import Segmenter


class _ModelFileDataset(AbstractDataset[Any, Any]):
    """What the two datasets share: one `.keras` file.

    Args:
        filepath: The file, ending in `.keras`.
        metadata: Anything; Kedro ignores it.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


class KerasModelDataset(_ModelFileDataset):
    """A Keras model, written in one step and loaded in safe mode."""

    def load(self) -> "keras.Model":
        """Read the model."""
        from unetflow.unet.storage import load_keras

        return load_keras(self._filepath)

    def save(self, data: "keras.Model") -> None:
        """Replace the file."""
        from unetflow.unet.storage import save_keras

        save_keras(data, self._filepath)


class SegmenterDataset(_ModelFileDataset):
    """A segmenter: model, preprocessing, threshold and class names in one file."""

    def load(self) -> "Segmenter":
        """Read the segmenter."""
        from unetflow.unet import Segmenter

        return Segmenter.load(self._filepath)

    def save(self, data: "Segmenter") -> None:
        """Replace the file."""
        data.save(self._filepath)


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
        from unetflow.unet.storage import load_keras

        if self._source is None:
            return None
        return self._source, load_keras(self._find())

    def save(self, data: Any) -> None:
        """Refuse: a training begins with a model, it does not change it."""
        raise DatasetError("The model that a training begins with is only read.")

    def _find(self) -> Path:
        if str(self._source).startswith("models:/"):
            return _download(str(self._source), "start_from")
        path = Path(str(self._source))
        if not path.is_file():
            raise InputError(
                "start_from",
                f"there is no file {path}",
                "Give the path of a `.keras` file, or a model of the registry as in "
                "models:/unetflow@champion",
            )
        return path

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"source": self._source}


class ChampionDataset(AbstractDataset[Any, Any]):
    """The model of MLflow's registry that has an alias, if there is one.

    Args:
        registered_model: The model's name; None: models are not registered.
        alias: The alias.
        metadata: Anything; Kedro ignores it.
    """

    def __init__(
        self,
        *,
        registered_model: str | None,
        alias: str = "champion",
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._name = registered_model
        self._alias = alias
        self.metadata = metadata

    def load(self) -> "tuple[str, Segmenter] | None":
        """Read the model in safe mode, and say which version it is; None where there is none."""
        if self._name is None or (version := find_version(self._name, self._alias)) is None:
            return None
        from unetflow.unet import Segmenter

        model = _download(f"models:/{self._name}/{version}", f"{self._name}@{self._alias}")
        return f"{self._name} version {version}", Segmenter.load(model)

    def save(self, data: Any) -> None:
        """Refuse: a champion is made by moving the alias."""
        raise DatasetError("The champion is only read.")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"registered_model": self._name, "alias": self._alias}


def find_version(registered_model: str, alias: str) -> str | None:
    """Return the version of a registered model that has an alias; None where none has.

    Raises:
        mlflow.MlflowException: The registry cannot be asked.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import (
        INVALID_PARAMETER_VALUE,
        RESOURCE_DOES_NOT_EXIST,
        ErrorCode,
    )

    absent = {ErrorCode.Name(code) for code in (INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST)}
    try:
        return str(MlflowClient().get_model_version_by_alias(registered_model, alias).version)
    except MlflowException as error:
        if error.error_code in absent:
            return None
        raise


def _download(source: str, parameter: str) -> Path:
    """Return the file of a registered model, which is fetched if it lies elsewhere."""
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
