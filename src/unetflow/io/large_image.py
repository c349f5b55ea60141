"""Opening of images larger than memory, whatever their format."""

from pathlib import Path

from unetflow.io.lazy_image import MAX_CHUNK_PIXELS, LazyImage
from unetflow.io.tiff_image import open_large_tiff
from unetflow.io.zarr_image import open_large_zarr


def open_large(path: Path, level: int = 0, max_pixels: int = MAX_CHUNK_PIXELS) -> LazyImage:
    """Open a TIFF file, or a folder with a Zarr array or an OME-Zarr image, without decoding it.

    Args:
        path: The file or the folder.
        level: Level of a pyramid; 0 is the full resolution.
        max_pixels: Largest width times height that may be decoded at once.

    Raises:
        InputError: It cannot be read as one image.

    Example:
        ```python
        with open_large(Path("slide.ome.tif")) as image:
            corner = image.read((0, 512), (0, 512))  # (512, 512, channels)
        ```
    """
    return (open_large_zarr if path.is_dir() else open_large_tiff)(path, level, max_pixels)
