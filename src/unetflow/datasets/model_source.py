"""Models that the user chooses."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from unetflow.core.errors import InputError
from unetflow.datasets.files import load_keras_model, load_segmenter
from unetflow.datasets.read_only import ReadOnlyDataset
from unetflow.datasets.registry import download_model

if TYPE_CHECKING:
    import keras

    from unetflow.inference.segmenter import Segmenter


_PARAMETERS = {"segmenter": "segmenter", "start": "start_from"}
"""The parameter that names the source of each use."""


class ModelSourceDataset(ReadOnlyDataset[Any]):
    """A model of a file or of MLflow's registry, read in safe mode.

    Args:
        source: A `.keras` file, or a registered model such as `models:/unetflow@champion` or
            `models:/unetflow/3`; None: none.
        use: `segmenter` gives a `Segmenter`; `start` gives the source and a Keras model whose
            weights a training begins with.
        metadata: Anything; Kedro ignores it.
    """

    def __init__(
        self,
        *,
        source: str | None,
        use: Literal["segmenter", "start"],
        metadata: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(metadata=metadata)
        self._source = source
        self._use = use

    def load(self) -> "Segmenter | tuple[str, keras.Model] | None":
        """Read the model; None without a source.

        Raises:
            InputError: There is no such model.
        """
        if self._source is None:
            return None
        path = self._find(self._source)
        if self._use == "segmenter":
            return load_segmenter(path)
        return self._source, load_keras_model(path)

    def _find(self, source: str) -> Path:
        parameter = _PARAMETERS[self._use]
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

    def _describe(self) -> dict[str, Any]:
        return {"source": self._source, "use": self._use}
