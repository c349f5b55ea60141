"""Small files in the formats of large images, and cheap models for them."""

from pathlib import Path

import numpy as np
import tifffile
import zarr
from scipy import ndimage

from tests.support.images import random_pixels
from unetflow.config.mask_export import BackgroundParameters
from unetflow.core.geometry import Geometry
from unetflow.inference.blockwise.prediction import BlockModel
from unetflow.inference.postprocessing import Postprocessing
from unetflow.io.lazy_image import LazyImage
from unetflow.tiling.windows import predict_tiled

GEOMETRIES = {
    "same": Geometry(4, 0, 0, 4),
    "valid": Geometry(2, 0, 3, 0),
    "local": Geometry(1, 0, 0, 0),
}


def smooth_pixels(shape, seed=0):
    """Make blobs of all sizes in 16 bits."""
    noise = np.random.default_rng(seed).random(shape)
    smooth = ndimage.gaussian_filter(noise, 2)
    return np.uint16(65535 * (smooth - smooth.min()) / max(np.ptp(smooth), 1e-9))


def cheap_model(kind="same", tile=24, **postprocessing):
    """Return a model whose predictor filters with a box."""
    geometry = GEOMETRIES[kind]
    radius = {"same": 2, "valid": 3, "local": 0}[kind]
    cut = slice(geometry.shrink, -geometry.shrink or None)

    def predict(batch):
        size = (1, 2 * radius + 1, 2 * radius + 1, 1)
        blurred = ndimage.uniform_filter(batch.astype(np.float64), size, mode="constant")
        return (blurred[:, cut, cut, :1] / 65535).astype(np.float32)

    settled = Postprocessing(**{"threshold": 0.5} | postprocessing)
    return BlockModel(predict, geometry, tile, settled, {"kind": kind})


def whole_result(model, pixels):
    """Return labels and probabilities of an image in memory."""
    found = predict_tiled(model.predictor, pixels, model.geometry, model.tile)
    probabilities = model.postprocessing.calibrate(found)
    return model.postprocessing.apply(probabilities), probabilities


def write_ome_pyramid(path: Path, pixels, levels=3):
    """Write an OME-TIFF whose smaller levels are every other pixel."""
    options = {"tile": (32, 32), "compression": "zlib", "photometric": "minisblack"}
    with tifffile.TiffWriter(path, bigtiff=True, ome=True) as writer:
        writer.write(pixels, subifds=levels - 1, metadata={"axes": "YX"}, **options)
        for level in range(1, levels):
            writer.write(pixels[:: 2**level, :: 2**level], subfiletype=1, **options)
    return path


def write_ome_zarr(path: Path, pixels, version, levels=3, unit=None, scale=(1.0, 1.0)):
    """Write an OME-Zarr image with axes t, c, y, x, whose pixels have a height and a width."""
    group = zarr.open_group(str(path), mode="w", zarr_format=2 if version == "0.4" else 3)
    for level in range(levels):
        part = pixels[:: 2**level, :: 2**level]
        array = group.create_array(
            str(level), shape=(1, 1, *part.shape), chunks=(1, 1, 32, 40), dtype=part.dtype
        )
        array[0, 0] = part
    multiscales = [
        {
            "axes": [
                {"name": name, **({"unit": unit} if unit and name in "yx" else {})}
                for name in "tcyx"
            ],
            "datasets": [
                {
                    "path": str(level),
                    "coordinateTransformations": [
                        {"type": "scale", "scale": [1, 1, *(2**level * s / 2 for s in scale)]}
                    ],
                }
                for level in range(levels)
            ],
            "coordinateTransformations": [{"type": "scale", "scale": [1, 1, 2, 2]}],
            "version": version,
        }
    ]
    content = {"multiscales": multiscales}
    group.attrs.update(content if version == "0.4" else {"ome": {"version": version, **content}})
    return path


def read_result(path: Path):
    """Return what was written; the classes of probabilities, planes of a TIFF, come last."""
    if path.is_dir():
        return zarr.open_array(str(path), mode="r")[:]
    pixels = tifffile.imread(path)
    return pixels if pixels.ndim == 2 else np.moveaxis(pixels, 0, 2)


def count_done(folder: Path) -> int:
    """Return how many blocks of an unfinished segmentation are stored."""
    return int(np.count_nonzero(np.load(folder / "states.npy")))


def grey(height=90, width=110, seed=0):
    return random_pixels((height, width), np.uint16, seed)


RULES = {
    "deviation": BackgroundParameters(min_deviation=50.0),
    "range": BackgroundParameters(min_range=200.0),
    "mean": BackgroundParameters(max_mean=40_000.0),
}

CLEANING = cheap_model(temperature=1.7, threshold=0.45, min_object_size=25)


def in_memory(pixels, stamp="first"):
    return LazyImage("pixels", pixels, "YXC"[: pixels.ndim], {"image": stamp})
