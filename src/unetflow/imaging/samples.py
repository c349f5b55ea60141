"""The canonical sample: one image and one label, memory-mapped on disk."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from unetflow.imaging.errors import InputError
from unetflow.imaging.files import replacing
from unetflow.imaging.labels import Label, LabelClass, decode_mask
from unetflow.imaging.pairs import Pair
from unetflow.imaging.readers import read_image, read_mask


@dataclass(frozen=True)
class Sample:
    """An image and its label.

    Attributes:
        image: `(height, width, channels)` at the source's bit depth.
        label: `(height, width)` uint8, class indices; 255 is ignored.
    """

    image: NDArray[np.generic]
    label: Label


def read_pair(pair: Pair, classes: Sequence[LabelClass], max_pixels: int) -> Sample:
    """Read a source pair as a sample.

    Raises:
        InputError: One of the files cannot be read, or the two don't fit together.
    """
    image = read_image(pair.image, max_pixels)
    mask = read_mask(pair.mask, max_pixels)
    if image.shape[:2] != mask.shape:
        raise InputError(
            pair.mask,
            f"the mask is {_size(mask)}, but its image {pair.image.name} is {_size(image)}",
            "Export both at the same size",
        )
    return Sample(image, decode_mask(mask, classes, pair.mask))


def write_sample(folder: Path, sample: Sample) -> None:
    """Write `image.tif` and `label.tif`, uncompressed so that they can be memory-mapped."""
    write_tiff(folder / "image.tif", sample.image)
    write_tiff(folder / "label.tif", sample.label)


def open_sample(folder: Path) -> Sample:
    """Open a sample as read-only memory maps: only what is looked at is read.

    The maps are not kept open for later calls, since each holds a file descriptor.
    """
    image = tifffile.memmap(folder / "image.tif", mode="r")
    label = tifffile.memmap(folder / "label.tif", mode="r")
    return Sample(image if image.ndim == 3 else image[:, :, np.newaxis], label)


class SampleFolder(Mapping[str, Sample]):
    """The samples of a folder by id, each opened as memory maps when it is asked for.

    Args:
        folder: Holds a folder for each sample.
        ids: The samples' ids in their natural order.
        refused: An error for each pair that could not be made a sample.
    """

    def __init__(
        self, folder: Path, ids: Sequence[str], refused: Sequence[InputError] = ()
    ) -> None:
        self._folder = folder
        self._ids = dict.fromkeys(ids)
        self.refused = list(refused)

    def __getitem__(self, sample_id: str) -> Sample:
        if sample_id not in self._ids:
            raise KeyError(sample_id)
        return open_sample(self._folder / sample_id)

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)

    def select(self, ids: Sequence[str]) -> "SampleFolder":
        """Return the part of the samples with these ids, in this order."""
        missing = [i for i in ids if i not in self._ids]
        if missing:
            raise InputError(
                self._folder, f"sample '{missing[0]}' is not there", "Run the ingestion again"
            )
        return SampleFolder(self._folder, ids)


def write_tiff(path: Path, pixels: NDArray[np.generic], compression: str | None = None) -> None:
    """Write grey or colour pixels as one TIFF page, in one step.

    Args:
        path: The file to make or replace.
        pixels: `(height, width)` or `(height, width, channels)`.
        compression: A name that tifffile knows, such as "zlib"; None can be memory-mapped.
    """
    pixels = pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    photometric = "rgb" if pixels.ndim == 3 and pixels.shape[2] == 3 else "minisblack"
    with replacing(path) as temporary:
        tifffile.imwrite(
            temporary,
            pixels,
            photometric=photometric,
            planarconfig="contig" if pixels.ndim == 3 else None,
            compression=compression,
            metadata=None,
        )


def _size(pixels: NDArray[np.generic]) -> str:
    return f"{pixels.shape[1]} x {pixels.shape[0]}"
