"""Segment a large image in a process of its own, and say how much memory that took.

    python -m tests.support.large_memory FOLDER EDGE BLOCK KIND

KIND is `mapped`, `tiles`, `wide` (tiles as wide as the image) or `zarr`. Prints one line of JSON.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import tifffile
import zarr

from tests.support.large_files import Function, as_segmenter, smooth_pixels
from unetflow.core.geometry import unet_geometry
from unetflow.inference.blockwise.segment_blocks import segment_blocks
from unetflow.inference.postprocessing import Postprocessing
from unetflow.io.image_file import open_large

PATTERN = 500


def write_image(folder: Path, edge: int, kind: str) -> Path:
    """Write an image of repeated blobs row by row of tiles; it is never in memory."""
    pattern = smooth_pixels((PATTERN, PATTERN))
    band = np.tile(pattern, (1, -(-edge // PATTERN)))[:, :edge]
    if kind == "zarr":
        path = folder / "image.zarr"
        array = zarr.create_array(str(path), shape=(edge, edge), chunks=(512, 512), dtype="u2")
        for row in range(0, edge, PATTERN):
            array[row : row + PATTERN] = band[: edge - row]
        return path
    path = folder / "image.tif"
    if kind == "mapped":
        pixels = tifffile.memmap(path, shape=(edge, edge), dtype="u2", bigtiff=True)
        for row in range(0, edge, PATTERN):
            pixels[row : row + PATTERN] = band[: edge - row]
        pixels.flush()
        return path
    width = 512 if kind == "tiles" else -(-edge // 16) * 16
    tile = np.tile(pattern, (1, -(-width // PATTERN)))[:496, :width]
    tiles = (tile for _ in range(-(-edge // 496) * -(-edge // width)))
    options = {"shape": (edge, edge), "dtype": "u2", "compression": "zlib", "maxworkers": 1}
    tifffile.imwrite(
        path, tiles, tile=tile.shape, bigtiff=True, photometric="minisblack", **options
    )
    return path


def predict(batch: np.ndarray) -> np.ndarray:
    return batch[:, :, :, :1] / np.float32(65535)


def peak() -> float:
    """Return the largest memory that this process has had, in MB.

    Not `ru_maxrss`, which Linux hands down from a parent that was larger.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main(folder: Path, edge: int, block: int, kind: str) -> None:
    path = write_image(folder, edge, kind)
    postprocessing = Postprocessing(threshold=0.5, min_object_size=50)
    segmenter = as_segmenter(Function(predict), unet_geometry(4, "same"), 512, postprocessing)
    before, start = peak(), time.perf_counter()
    with open_large(path) as image:
        summary = segment_blocks(
            segmenter, image, folder / "labels.tif", probabilities=folder / "p.tif", block=block
        )
    seconds = time.perf_counter() - start
    told = {"before": before, "peak": peak(), "seconds": seconds, "blocks": summary.blocks}
    print(json.dumps({name: round(value, 1) for name, value in told.items()}))  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
