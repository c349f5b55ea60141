"""Where images and masks come from."""

from pathlib import Path
from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError

from unetflow.imaging.demo import write_demo
from unetflow.imaging.pairs import Pairing, find_pairs


class FolderPairsDataset(AbstractDataset[NoReturn, Pairing]):
    """Images in one folder, masks in another.

    Args:
        path: The folder that holds both.
        images: The images' folder below it.
        masks: The masks' folder below it.
        image_pattern: Regular expression whose groups name the part of an image's file name that
            its mask shares; None where the names are equal but for the ending.
        mask_pattern: The same for masks.
        metadata: Anything; Kedro ignores it.

    Example:
        ```yaml
        raw_pairs:
          type: unetflow.datasets.FolderPairsDataset
          path: data/01_raw/mine
          images: images
          masks: masks
        ```
    """

    def __init__(
        self,
        *,
        path: str,
        images: str = "images",
        masks: str = "masks",
        image_pattern: str | None = None,
        mask_pattern: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._path = Path(path)
        self._images = self._path / images
        self._masks = self._path / masks
        self._patterns = (image_pattern, mask_pattern)
        self.metadata = metadata

    def load(self) -> Pairing:
        """Find the pairs; no image is opened."""
        return find_pairs(self._images, self._masks, *self._patterns)

    def save(self, data: NoReturn) -> None:
        """Refuse: the folders are the user's."""
        raise DatasetError(f"{self._path} is only read.")

    def _exists(self) -> bool:
        return self._images.is_dir() and self._masks.is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"images": str(self._images), "masks": str(self._masks)}


class DemoPairsDataset(FolderPairsDataset):
    """Made-up microscope images, written to a folder when they are not there.

    Args:
        path: The folder; `images` and `masks` are made in it.
        count: How many images.
        size: Edge of each in pixels.
        seed: Another seed gives other images.
        metadata: Anything; Kedro ignores it.
    """

    def __init__(
        self,
        *,
        path: str,
        count: int = 80,
        size: int = 256,
        seed: int = 42,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(path=path, metadata=metadata)
        self._demo = (count, size, seed)

    def load(self) -> Pairing:
        """Write what is missing, then find the pairs."""
        write_demo(self._path, *self._demo)
        return super().load()
