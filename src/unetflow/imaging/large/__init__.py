"""Images that are larger than the memory: reading windows of them, segmenting block by block."""

from functools import partial
from pathlib import Path

from unetflow.imaging.large.background import BackgroundRule
from unetflow.imaging.large.blocks import BlockModel
from unetflow.imaging.large.computing import compute_by
from unetflow.imaging.large.image import MAX_BLOCK_PIXELS, LazyImage
from unetflow.imaging.large.overview import Overview, shrink_image, shrink_label
from unetflow.imaging.large.progress import Progress
from unetflow.imaging.large.result_folders import ResultFolders
from unetflow.imaging.large.segmenting import BlockSummary, segment_blocks
from unetflow.imaging.large.tiff import open_large_tiff
from unetflow.imaging.large.zarr_store import open_large_zarr

__all__ = [
    "BackgroundRule",
    "BlockModel",
    "BlockSummary",
    "LazyImage",
    "Overview",
    "Progress",
    "ResultFolders",
    "compute_by",
    "open_large",
    "segment_blocks",
    "shrink_image",
    "shrink_label",
]


def open_large(path: Path, level: int = 0, max_pixels: int = MAX_BLOCK_PIXELS) -> LazyImage:
    """Open a TIFF file, or a folder with a Zarr array or an OME-Zarr image, without decoding it.

    Args:
        path: The file or the folder.
        level: Which level of a pyramid; 0 is the one at full resolution.
        max_pixels: Width times height of what may be decoded at once.

    Raises:
        InputError: It cannot be read as one image.

    Example:
        ```python
        with open_large(Path("slide.ome.tif")) as image:
            corner = image.read((0, 512), (0, 512))  # (512, 512, channels)
        ```
    """
    image = (open_large_zarr if path.is_dir() else open_large_tiff)(path, level, max_pixels)
    image.reopen = partial(open_large, path.absolute(), level, max_pixels)
    return image
