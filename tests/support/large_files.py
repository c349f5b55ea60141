"""Small files in the formats of large images, and segmenters without a network for them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
import zarr
from scipy import ndimage

from tests.support.images import random_pixels
from unetflow.config.mask_export import BackgroundParameters, LargeParameters, MaskExportParameters
from unetflow.core.geometry import Geometry
from unetflow.inference.postprocessing import Postprocessing
from unetflow.inference.runtimes.runtime import Runtime
from unetflow.inference.segmenter import Segmenter, SegmenterSettings
from unetflow.instances.separation import Separation
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


class Function(Runtime):
    """A function as a runtime."""

    name, identity = "function", {}

    def __init__(self, predict, outputs=1, identity=None):
        self.predict, self.outputs, self.identity = predict, outputs, identity or {}

    def __call__(self, windows):
        return self.predict(windows)


@dataclass
class BoxFilter(Runtime):
    """A filter with a box, as wide as the network of a geometry sees."""

    kind: str = "same"

    name, outputs = "box", 1

    @property
    def identity(self):
        return {"kind": self.kind}

    def __call__(self, windows):
        radius = {"same": 2, "valid": 3, "local": 0}[self.kind]
        shrink = GEOMETRIES[self.kind].shrink
        cut = slice(shrink, -shrink or None)
        size = (1, 2 * radius + 1, 2 * radius + 1, 1)
        blurred = ndimage.uniform_filter(windows.astype(np.float64), size, mode="constant")
        return (blurred[:, cut, cut, :1] / 65535).astype(np.float32)


@dataclass
class Hills(Runtime):
    """Finds foreground where an image is bright after a narrow filter, distances by a wide one."""

    name, outputs, identity = "hills", 2, {"kind": "hills"}

    def __call__(self, windows):
        filtered = [
            ndimage.uniform_filter(windows.astype(np.float64), (1, size, size, 1), mode="constant")
            for size in (3, 5)
        ]
        return (np.concatenate(filtered, axis=3) / 65535).astype(np.float32)


def as_segmenter(
    runtime, geometry, tile, postprocessing, classes=2, dtype="uint16", object_outputs=()
):
    """Return the segmenter of a runtime, for images of one channel."""
    settings = SegmenterSettings(
        object_outputs=object_outputs,
        classes=[f"class {number}" for number in range(classes)],
        channels=1,
        dtype=dtype,
        geometry=geometry,
        tile=tile,
        postprocessing=postprocessing,
    )
    return Segmenter(runtime, settings)


def cheap_segmenter(kind="same", tile=24, runtime=None, **postprocessing):
    """Return a segmenter that filters with a box."""
    settled = Postprocessing(**{"threshold": 0.5} | postprocessing)
    return as_segmenter(runtime or BoxFilter(kind), GEOMETRIES[kind], tile, settled)


def learned_segmenter(tile=24, **postprocessing):
    """Return a segmenter that has learned to separate objects."""
    separation = Separation(seed_threshold=0.3, min_distance=3)
    settled = Postprocessing(**{"threshold": 0.5, "separation": separation} | postprocessing)
    return as_segmenter(Hills(), GEOMETRIES["same"], tile, settled, object_outputs=("distance",))


def whole_result(segmenter, pixels):
    """Return labels and probabilities of an image in memory."""
    settings = segmenter.settings
    found = predict_tiled(segmenter.runtime, pixels, settings.geometry, settings.tile)
    probabilities = segmenter.postprocessing.calibrate(found)
    return segmenter.postprocessing.apply(probabilities), probabilities


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


def with_rule(background=None, **wanted):
    """Return parameters with a rule for blocks of background."""
    return MaskExportParameters(large=LargeParameters(background=background), **wanted)


CLEANING = cheap_segmenter(temperature=1.7, threshold=0.45, min_object_size=25)


def in_memory(pixels, stamp="first"):
    return LazyImage("pixels", pixels, "YXC"[: pixels.ndim], {"image": stamp})
