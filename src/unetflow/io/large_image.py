"""Images larger than memory, opened lazily and read by windows."""

from pathlib import Path

from unetflow.io.lazy_image import MAX_BLOCK_PIXELS, LazyImage
from unetflow.io.tiff_image import open_large_tiff
from unetflow.io.zarr_image import open_large_zarr


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
    return (open_large_zarr if path.is_dir() else open_large_tiff)(path, level, max_pixels)
