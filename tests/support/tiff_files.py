"""TIFF files for tests, and what NumPy says should be read from them."""

import math
import struct
import zipfile

import numpy as np
import tifffile

from tests.support.images import random_pixels
from unetflow.io.files import ArchiveMember
from unetflow.io.formats.tiff import count_pages, read_tiff

MANY = 10**6


def page_by_numpy(pixels, axes, page):
    """Index the array that was written; channels last, none if there is one."""
    stacked = [size for axis, size in zip(axes, pixels.shape, strict=True) if axis not in "YXCS"]
    position = iter(np.unravel_index(page, stacked) if stacked else ())
    image = pixels[tuple(slice(None) if axis in "YXCS" else next(position) for axis in axes)]
    left = [axis for axis in axes if axis in "YXCS"]
    channels = [axis for axis in left if axis in "CS"]
    image = image.transpose([left.index(axis) for axis in ("Y", "X", *channels)])
    image = image.reshape(*image.shape[:2], -1)
    return image[:, :, 0] if image.shape[2] == 1 else image


def assert_pages(path, pixels, axes):
    pages = math.prod(
        size for axis, size in zip(axes, pixels.shape, strict=True) if axis not in "YXCS"
    )
    assert count_pages(path) == pages
    for page in range(pages):
        read = read_tiff(path, MANY, page=page, indices=True)
        np.testing.assert_array_equal(read, page_by_numpy(pixels, axes, page), strict=True)


def write(path, pixels, axes, **options):
    metadata = {"axes": axes}
    tifffile.imwrite(path, pixels, **{"photometric": "minisblack", "metadata": metadata} | options)
    return path


def write_stack(path, pages=5, **options):
    pixels = random_pixels((pages, 12, 9))
    return write(path, pixels, "ZYX", **options), pixels


def write_ome(path, pixels, planes):
    """Write pages whose headers say for each point in time in which file and page it is."""
    height, width = pixels.shape[1:]
    listed = "".join(
        f'<TiffData FirstT="{time}" IFD="{page}" PlaneCount="1">'
        f'<UUID FileName="{name}">urn:uuid:{name}</UUID></TiffData>'
        for time, (name, page) in enumerate(planes)
    )
    description = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
        f'<Pixels DimensionOrder="XYZCT" ID="Pixels:0" SizeC="1" SizeT="{len(planes)}" SizeZ="1" '
        f'SizeX="{width}" SizeY="{height}" Type="uint8">{listed}</Pixels></Image></OME>'
    )
    tifffile.imwrite(path, pixels, description=description, metadata=None, photometric="minisblack")


def pack(path):
    """Return the same file in an archive."""
    with zipfile.ZipFile(path.with_suffix(".zip"), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, f"x/{path.name}")
    return ArchiveMember(path.with_suffix(".zip"), f"x/{path.name}")


def page_offsets(path):
    with tifffile.TiffFile(path) as opened:
        return [page.offset for page in opened.pages]


def redirect(path, source, target):
    """Make the header at one place name another one as the next."""
    content = bytearray(path.read_bytes())
    (tags,) = struct.unpack_from("<H", content, source)
    struct.pack_into("<I", content, source + 2 + 12 * tags, target)
    path.write_bytes(content)
