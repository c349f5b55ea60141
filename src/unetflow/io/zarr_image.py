"""Zarr arrays and OME-Zarr images in a folder, through zarr."""

import hashlib
import math
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from unetflow.core.errors import InputError
from unetflow.io.files import file_signature
from unetflow.io.formats.bounds import MAX_CHANNELS
from unetflow.io.lazy_image import MAX_BLOCK_PIXELS, CachedChunks, LazyImage, check_block
from unetflow.io.pixel_size import PixelSize, make_pixel_size

_NUMBERS = "buif"
_CODECS = {"BytesCodec", "TransposeCodec", "Crc32cCodec", "ShardingCodec"} | {
    name + "Codec" for name in ("Blosc", "Gzip", "Zstd")
}
_OLD_CODECS = {"Blosc", "GZip", "Zlib", "Zstd", "LZ4", "Shuffle", "Delta"}
"""What chunks may be packed with (in the second row: of Zarr's version 2). There are codecs that
run code which they find in a chunk."""


def open_large_zarr(path: Path, level: int = 0, max_pixels: int = MAX_BLOCK_PIXELS) -> LazyImage:
    """Open a Zarr array or an OME-Zarr image without reading it.

    Args:
        path: The folder. An array without names of its axes is `(height, width)`, or
            `(height, width, channels)`.
        level: Which level of a pyramid; 0 is the one at full resolution.
        max_pixels: Width times height of a chunk, which is decoded at once.

    Raises:
        InputError: The folder cannot be read as such an image.
    """
    import zarr

    from unetflow.io.bounded_codecs import bound_codecs

    if not path.is_dir():
        raise InputError(path, "the folder does not exist", "Check the path")
    try:
        node = zarr.open(zarr.storage.LocalStore(path, read_only=True), mode="r")
        if isinstance(node, zarr.Array):
            array, axes = node, _name_axes(node)
            if level:
                raise InputError(path, f"it is an array without level {level}", "Use level 0")
        else:
            array, axes = _find_level(path, node, level)
        _check_codecs(path, array)
        for part in _list_parts(array):
            _check_part(path, dict(zip(axes, part, strict=True)), max_pixels)
        chunks = CachedChunks(bound_codecs(array), array.chunks)
    except InputError:
        raise
    except Exception as error:  # zarr raises anything on damaged metadata
        raise InputError(
            path, f"it is no Zarr array and no OME-Zarr image ({error})", "Export it again"
        ) from error
    image = LazyImage(path, chunks, axes, {"image": folder_signature(path), "level": level})
    image.pixel_size = _find_pixel_size(node.attrs)
    image.reopen = partial(open_large_zarr, path.absolute(), level, max_pixels)
    return image


def _find_pixel_size(attributes: Mapping[str, Any]) -> PixelSize | None:
    """Return the size of a pixel at full resolution by the metadata of OME-NGFF, from 0.4 on.

    It is None if unknown, as for a plain array.
    """
    try:
        images = attributes.get("ome", attributes).get("multiscales", [])
        if len(images) != 1:
            return None
        scale, units = _scale_axes(images[0])
        unit = units["Y"]
        return make_pixel_size(scale["X"], scale["Y"], unit) if units["X"] == unit else None
    except Exception:  # metadata of any other form raise anything
        return None


def _scale_axes(image: Mapping[str, Any]) -> tuple[dict[str, float], dict[str, str]]:
    """Return how far apart pixels are along each axis, and in which unit."""
    axes = [axis["name"][0].upper() for axis in image["axes"]]
    steps = [1.0] * len(axes)
    for described in (image["datasets"][0], image):
        for change in described.get("coordinateTransformations", ()):
            if change["type"] == "scale":
                steps = [a * float(b) for a, b in zip(steps, change["scale"], strict=True)]
    units = [axis.get("unit", "") for axis in image["axes"]]
    return dict(zip(axes, steps, strict=True)), dict(zip(axes, units, strict=True))


def folder_signature(folder: Path) -> str:
    """Return a digest that changes when a file in a folder changes, without reading the files."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()} {file_signature(path)}\n".encode())
    return digest.hexdigest()


def _name_axes(array: Any) -> str:
    names = getattr(array.metadata, "dimension_names", None)
    if names and all(isinstance(name, str) and name for name in names):
        return "".join(name[0] for name in names).upper()
    axes: int = array.ndim
    return {2: "YX", 3: "YXC"}.get(axes, "?" * axes)


def _find_level(path: Path, group: Any, level: int) -> tuple[Any, str]:
    """Return an array and its axes by the metadata of OME-NGFF, from version 0.4 on."""
    attributes = group.attrs.asdict()
    images = attributes.get("ome", attributes).get("multiscales", [])
    if len(images) != 1:
        raise InputError(
            path,
            f"it is a group with {len(images)} images instead of one",
            "Give the folder of the one image, or of its array",
        )
    levels = images[0]["datasets"]
    if not 0 <= level < len(levels):
        raise InputError(
            path, f"it has {len(levels)} levels, no level {level}", f"Use 0 to {len(levels) - 1}"
        )
    array = group[levels[level]["path"]]
    return array, "".join(axis["name"][0] for axis in images[0]["axes"]).upper()


def _list_parts(array: Any) -> list[tuple[int, ...]]:
    """Return the shapes of what is unpacked at once: chunks, and shards that are packed again."""
    parts = [tuple(array.chunks)]
    if array.shards is not None and len(array.metadata.codecs) > 1:
        parts.append(tuple(array.shards))
    return parts


def _check_part(path: Path, sizes: dict[str, int], max_pixels: int) -> None:
    """Refuse a chunk that is large, even along axes along which the image itself is not."""
    width, height = sizes.get("X", 1), sizes.get("Y", 1)
    check_block(path, width, height, max_pixels)
    others = math.prod(sizes.values()) // (width * height)
    if others > MAX_CHANNELS:
        raise InputError(
            path,
            f"its chunks hold {others} values of each pixel, more than the allowed {MAX_CHANNELS}",
            "Save it with chunks of one image",
        )


def _check_codecs(path: Path, array: Any) -> None:
    """Refuse numbers that are no pixels, and chunks whose unpacking could do more than unpack."""
    if array.dtype.kind not in _NUMBERS:
        raise InputError(path, f"it holds {array.dtype}, no pixels", "Save it as whole numbers")
    unknown = sorted(set(_list_codecs(array)) - _CODECS - _OLD_CODECS)
    if unknown:
        raise InputError(
            path,
            f"its chunks are packed with {', '.join(unknown)}",
            "Save it with Blosc, Zstd, Gzip or without compression",
        )
    filters = getattr(array.metadata, "filters", None) or ()
    for kind in (getattr(one, "dtype", array.dtype) for one in filters):
        if kind.kind not in _NUMBERS:
            raise InputError(path, f"a filter makes {kind} of it", "Save it without filters")


def _list_codecs(array: Any) -> Iterable[str]:
    if array.metadata.zarr_format == 2:
        found = [array.metadata.compressor, *(array.metadata.filters or ())]
        return [type(codec).__name__ for codec in found if codec is not None]
    names, codecs = [], list(array.metadata.codecs)
    while codecs:
        codec = codecs.pop()
        names.append(type(codec).__name__)
        codecs += [*getattr(codec, "codecs", ()), *getattr(codec, "index_codecs", ())]
    return names
