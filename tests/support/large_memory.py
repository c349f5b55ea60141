"""Segment a large image in a process of its own, and say how much memory that took.

    python -m tests.support.large_memory FOLDER EDGE BLOCK KIND [METHOD [BUFFERS]]

KIND is `mapped`, `tiles`, `wide` (tiles as wide as the image) or `zarr`. METHOD says which
objects are found: `none`; `huge`: some fill the image; or many small ones, by `components`, by
`watershed`, or as learned, `auto`. BUFFERS is `whole`, or `small`: what is kept in memory whatever
the size of the image is a quarter as large. Prints one line of JSON.
"""

import json
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import tifffile
import zarr

from tests.support.large_files import Function, as_segmenter, smooth_pixels
from unetflow.config.mask_export import MaskExportParameters, ObjectParameters
from unetflow.core import spool
from unetflow.core.geometry import unet_geometry
from unetflow.inference.blockwise import block_store, object_numbers
from unetflow.inference.blockwise.segment_blocks import segment_blocks
from unetflow.inference.postprocessing import Postprocessing
from unetflow.instances import large_objects
from unetflow.instances.export_formats import write_coco, write_geojson
from unetflow.instances.large_measurements import measure_large_objects
from unetflow.instances.separation import Separation
from unetflow.io import image_file, lazy_image
from unetflow.io.image_file import open_large

PATTERN = 500
NAMES = ["background", "cell"]


def touching_disks() -> np.ndarray:
    """Return cells of 25 to 43 pixels on a grid of 40, dark at their edge; most touch."""
    rows, columns = np.indices((PATTERN, PATTERN)) % 40 - 19.5
    radius = np.kron(np.random.default_rng(0).uniform(12, 21.5, (13, 13)), np.ones((40, 40)))
    height = 1 - np.hypot(rows, columns) / radius[:PATTERN, :PATTERN]
    return np.uint16(65535 * np.clip((height + 0.1) / 1.1, 0, 1))


def write_image(folder: Path, edge: int, kind: str, pattern: np.ndarray) -> Path:
    """Write an image of a repeated pattern row by row of tiles; it is never in memory."""
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


def predict_twice(batch: np.ndarray) -> np.ndarray:
    """Return the brightness as the probability, and as the distance that objects grow from."""
    return np.repeat(predict(batch), 2, axis=3)


def peak() -> float:
    """Return the largest memory that this process has had, in MB.

    Not `ru_maxrss`, which Linux hands down from a parent that was larger.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def shrink_buffers() -> None:
    """Keep a quarter in memory, or less, so that images with a quarter of the pixels fill it."""
    spool._MEMORY //= 8
    large_objects.CELL //= 2
    image_file.CachedChunks = partial(
        lazy_image.CachedChunks, max_bytes=lazy_image._CACHE_BYTES // 8
    )
    block_store.number_regions = partial(
        object_numbers.number_regions,
        edge=object_numbers.REGION // 2,
        halo=object_numbers.HALO // 2,
    )


def main(
    folder: Path, edge: int, block: int, kind: str, method: str = "none", buffers: str = "whole"
) -> None:
    if buffers == "small":
        shrink_buffers()
    has_cells = method not in ("none", "huge")
    pattern = touching_disks() if has_cells else smooth_pixels((PATTERN, PATTERN))
    path = write_image(folder, edge, kind, pattern)
    objects = ObjectParameters(method=method if has_cells else "components")
    threshold, minimum = (0.05, 20) if has_cells else (0.5, 50)
    separation = Separation(seed_threshold=0.3, min_distance=10) if method == "auto" else None
    postprocessing = Postprocessing(
        threshold=threshold, min_object_size=minimum, separation=separation
    )
    segmenter = as_segmenter(
        Function(predict if separation is None else predict_twice, 1 if separation is None else 2),
        unet_geometry(4, "same"),
        512,
        postprocessing,
        object_outputs=() if separation is None else ("distance",),
    )
    before, start = peak(), time.perf_counter()
    with open_large(path) as image:
        summary = segment_blocks(
            segmenter,
            image,
            folder / "labels.tif",
            probabilities=folder / "p.tif",
            instances=folder / "n.tif",
            wanted=MaskExportParameters(objects=None if method == "none" else objects),
            block=block,
        )
        told = {"segmented": time.perf_counter() - start, "peak_segmented": peak()}
        if summary.objects is not None:
            table = measure_large_objects(summary.objects, image, "a", NAMES)
            write_geojson(folder / "a.geojson", summary.objects, NAMES)
            write_coco(folder / "a.json", [("a", summary.objects)], NAMES)
            told["objects"] = len(table)
    seconds = time.perf_counter() - start
    told |= {"before": before, "peak": peak(), "seconds": seconds, "blocks": summary.blocks}
    print(json.dumps({name: round(value, 1) for name, value in told.items()}))  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])
