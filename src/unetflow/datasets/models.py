"""Keras models as catalog entries; Keras is imported when one is loaded or saved."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractDataset

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
