"""Helpers for tests with images."""

import struct
import zlib
from pathlib import Path

import numpy as np

from unetflow.annotations.class_map import ClassMap
from unetflow.annotations.raster import SemanticMask, SourceImage
from unetflow.annotations.records import Pair, Pairing
from unetflow.config.classes import ClassSpec
from unetflow.config.ingestion import IngestionParameters
from unetflow.data.sample_builder import update_samples
from unetflow.data.samples import Sample, SampleFolder
from unetflow.io.tiff_writer import write_tiff

CLASSES = [ClassSpec("background", (0,)), ClassSpec("nucleus", (255,))]
GREY, RGB = 0, 2


def random_pixels(shape, dtype=np.uint8, seed=0):
    highest = int(np.iinfo(dtype).max)
    return np.random.default_rng(seed).integers(0, highest, shape, dtype, endpoint=True)


def png_bytes(width, height, depth, colour, rows=b""):
    """Make a PNG file by hand from its rows, each led by a filter byte of 0."""

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def write_sixteen_bit_png(path: Path, pixels):
    """Write 16-bit grey or RGB without any library."""
    colour = RGB if pixels.ndim == 3 else GREY
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    path.write_bytes(png_bytes(pixels.shape[1], pixels.shape[0], 16, colour, rows))


def touch_images(folder: Path, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return folder


def store_samples(folder: Path, samples: dict[str, Sample]):
    """Write source files whose masks hold class indices, and take them in as samples.

    Return the pairs and the sample folder.
    """
    class_map = ClassMap((ClassSpec("background", (0,)), ClassSpec("nucleus", None)), ignore=(255,))
    pairs = []
    for name, sample in samples.items():
        image, mask = folder / "images" / f"{name}.tif", folder / "masks" / f"{name}.tif"
        write_tiff(image, sample.image)
        write_tiff(mask, sample.label)
        pairs.append(Pair(name, SourceImage(image), SemanticMask(SourceImage(mask))))
    ingestion = IngestionParameters(max_pixels=10**6, workers=1)
    before = SampleFolder(folder / "samples")
    return pairs, update_samples(before, Pairing(pairs, []), class_map, ingestion)
