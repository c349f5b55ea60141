"""Zarr arrays and OME-Zarr images, opened without decoding them."""

import hashlib
import math
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from unetflow.core.errors import InputError
from unetflow.io.files import file_signature
from unetflow.io.formats.bounds import MAX_CHANNELS
from unetflow.io.lazy_image import (
    MAX_CHUNK_PIXELS,
    CachedChunks,
    LazyImage,
    check_chunk,
    choose_level,
)
from unetflow.io.pixel_size import PixelSize, make_pixel_size

_PIXEL_KINDS = "buif"
_CODECS = {"BytesCodec", "TransposeCodec", "Crc32cCodec", "ShardingCodec"} | {
    name + "Codec" for name in ("Blosc", "Gzip", "Zstd")
}
_V2_CODECS = {"Blosc", "GZip", "Zlib", "Zstd", "LZ4", "Shuffle", "Delta"}
"""Accepted codecs of Zarr's versions 3 and 2: other codecs may run code from a chunk."""


def open_large_zarr(path: Path, level: int = 0, max_pixels: int = MAX_CHUNK_PIXELS) -> LazyImage:
    """Open a Zarr array or an OME-Zarr image without decoding it.

    Args:
        path: The folder. An array without axis names is `(height, width)` or
            `(height, width, channels)`.
        level: Level of a pyramid; 0 is the full resolution.
        max_pixels: Largest width times height of a chunk.

    Raises:
        InputError: The folder cannot be read as such an image.
    """
    import zarr  # a quarter of a second, which small images need not wait for

    from unetflow.io.bounded_codecs import bound_codecs

    if not path.is_dir():
        raise InputError(path, "the folder does not exist", "Check the path")
    try:
        node = zarr.open(zarr.storage.LocalStore(path, read_only=True), mode="r")
        if isinstance(node, zarr.Array):
            array, axes, size = node, _array_axes(node), None
            if level:
                raise InputError(path, f"it is an array without level {level}", "Use level 0")
        else:
            image = _only_image(path, node)
            array = node[choose_level(path, image["datasets"], level)["path"]]
            axes = "".join(axis["name"][0] for axis in image["axes"]).upper()
            size = _pixel_size(image, axes)
        _check_codecs(path, array)
        for part in _decoded_parts(array):
            _check_part(path, dict(zip(axes, part, strict=True)), max_pixels)
        chunks = CachedChunks(bound_codecs(array), array.chunks)
    except InputError:
        raise
    except Exception as error:  # zarr raises anything on damaged metadata
        raise InputError(
            path, f"it is not a Zarr array or an OME-Zarr image ({error})", "Export it again"
        ) from error
    return LazyImage(
        path,
        chunks,
        axes,
        {"image": folder_signature(path), "level": level},
        pixel_size=size,
        reopen=partial(open_large_zarr, path.absolute(), level, max_pixels),
    )


def _array_axes(array: Any) -> str:
    names = getattr(array.metadata, "dimension_names", None)
    if names and all(isinstance(name, str) and name for name in names):
        return "".join(name[0] for name in names).upper()
    axes: int = array.ndim
    return {2: "YX", 3: "YXC"}.get(axes, "?" * axes)


def _only_image(path: Path, group: Any) -> Mapping[str, Any]:
    """Return the metadata of the image in a group (OME-NGFF, from version 0.4 on)."""
    attributes = group.attrs.asdict()
    images: list[Mapping[str, Any]] = attributes.get("ome", attributes).get("multiscales", [])
    if len(images) != 1:
        raise InputError(
            path,
            f"it is a group with {len(images)} images instead of one",
            "Give the folder of the one image, or of its array",
        )
    return images[0]


def _pixel_size(image: Mapping[str, Any], axes: str) -> PixelSize | None:
    """Return the size of a pixel at full resolution, or None where it is not known."""
    try:
        steps = [1.0] * len(axes)
        for described in (image["datasets"][0], image):
            for change in described.get("coordinateTransformations", ()):
                if change["type"] == "scale":
                    steps = [a * float(b) for a, b in zip(steps, change["scale"], strict=True)]
        scale = dict(zip(axes, steps, strict=True))
        units = {axis["name"][0].upper(): axis.get("unit", "") for axis in image["axes"]}
        unit = units["Y"]
        return make_pixel_size(scale["X"], scale["Y"], unit) if units["X"] == unit else None
    except (AttributeError, KeyError, TypeError, ValueError):  # an image is readable without it
        return None


def folder_signature(folder: Path) -> str:
    """Return a digest that changes when a file in a folder changes, without reading the files."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()} {file_signature(path)}\n".encode())
    return digest.hexdigest()


def _decoded_parts(array: Any) -> list[tuple[int, ...]]:
    """Return the shapes of what is decoded at once: chunks, and shards that are compressed."""
    parts = [tuple(array.chunks)]
    if array.shards is not None and len(array.metadata.codecs) > 1:
        parts.append(tuple(array.shards))
    return parts


def _check_part(path: Path, sizes: dict[str, int], max_pixels: int) -> None:
    """Refuse a large chunk, even along axes along which the image itself is small."""
    width, height = sizes.get("X", 1), sizes.get("Y", 1)
    check_chunk(path, width, height, max_pixels)
    others = math.prod(sizes.values()) // (width * height)
    if others > MAX_CHANNELS:
        raise InputError(
            path,
            f"its chunks hold {others} values of each pixel, more than the allowed {MAX_CHANNELS}",
            "Save it with chunks of one image",
        )


def _check_codecs(path: Path, array: Any) -> None:
    """Refuse values that are not pixels, and codecs that could do more than decode."""
    if array.dtype.kind not in _PIXEL_KINDS:
        raise InputError(path, f"it holds {array.dtype}, not pixels", "Save it as whole numbers")
    unknown = sorted(set(_codec_names(array)) - _CODECS - _V2_CODECS)
    if unknown:
        raise InputError(
            path,
            f"its chunks are packed with {', '.join(unknown)}",
            "Save it with Blosc, Zstd, Gzip or without compression",
        )
    filters = getattr(array.metadata, "filters", None) or ()
    for dtype in (getattr(one, "dtype", array.dtype) for one in filters):
        if dtype.kind not in _PIXEL_KINDS:
            raise InputError(path, f"a filter makes {dtype} of it", "Save it without filters")


def _codec_names(array: Any) -> Iterable[str]:
    if array.metadata.zarr_format == 2:
        found = [array.metadata.compressor, *(array.metadata.filters or ())]
        return [type(codec).__name__ for codec in found if codec is not None]
    names, codecs = [], list(array.metadata.codecs)
    while codecs:
        codec = codecs.pop()
        names.append(type(codec).__name__)
        codecs += [*getattr(codec, "codecs", ()), *getattr(codec, "index_codecs", ())]
    return names
