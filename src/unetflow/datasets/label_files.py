"""Labels and probabilities of images, with the size of a pixel, as catalog entries."""

from pathlib import Path
from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError
from numpy.typing import NDArray

from unetflow.datasets.one_file import OneFileDataset
from unetflow.inference.blockwise.result_folders import ResultFolders
from unetflow.io.formats.registry import read_image, read_mask
from unetflow.io.pixel_size import PixelSize, read_pixel_size
from unetflow.io.tiff_writer import write_label_tiff, write_probability_tiff

SizedPixels = tuple[NDArray[Any], PixelSize | None]
"""Numbers for each pixel of an image, and the size of a pixel; None where it is not known."""


class LabelFileDataset(OneFileDataset[SizedPixels, SizedPixels]):
    """Class indices or object numbers `(height, width)`, in the smallest type that holds them.

    A TIFF file, see `write_label_tiff`. If its name ends in `.ome.tif`, it has the header of
    OME, else that of ImageJ.
    """

    def load(self) -> SizedPixels:
        """Read the file."""
        return read_mask(self._filepath), read_pixel_size(self._filepath)

    def save(self, data: SizedPixels) -> None:
        """Replace the file in one step."""
        write_label_tiff(self._filepath, *data)


class ProbabilityFileDataset(OneFileDataset[SizedPixels, SizedPixels]):
    """Probabilities `(height, width, classes)`, float32.

    A TIFF file, see `write_probability_tiff`. If its name ends in `.ome.tif`, it has the header of
    OME, else that of ImageJ.
    """

    def load(self) -> SizedPixels:
        """Read the file."""
        return read_image(self._filepath), read_pixel_size(self._filepath)

    def save(self, data: SizedPixels) -> None:
        """Replace the file in one step."""
        write_probability_tiff(self._filepath, *data)


class LargeResultsDataset(AbstractDataset[NoReturn, ResultFolders]):
    """Where labels and probabilities of images go that are written block by block.

    It is an input of what segments them: such a result is never in memory as a whole, and lies
    unfinished beside its place while it is made.

    Args:
        labels: The folder of the labels.
        probabilities: That of the probabilities.
        filename_suffix: `.tif` for tiled TIFF files, `.zarr` for Zarr arrays.
        metadata: Anything; Kedro ignores it.
    """

    def __init__(
        self,
        *,
        labels: str,
        probabilities: str,
        filename_suffix: str = ".tif",
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._folders = ResultFolders(Path(labels), Path(probabilities), filename_suffix)
        self.metadata = metadata

    def load(self) -> ResultFolders:
        """Return the folders."""
        return self._folders

    def save(self, data: NoReturn) -> None:
        """Refuse: results are written while they are made."""
        raise DatasetError("The folders of large results are only an input.")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        folders = self._folders
        return {"labels": str(folders.labels), "filename_suffix": folders.suffix}
