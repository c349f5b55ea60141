"""Reading and description of a source pair."""

import hashlib
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import numpy as np
import skimage as ski
from numpy.typing import NDArray

from unetflow.annotations.class_map import ClassMap, object_pixels
from unetflow.annotations.raster import RasterAnnotation, check_shape
from unetflow.annotations.records import Pair
from unetflow.core.errors import InputError
from unetflow.core.hashing import sha256
from unetflow.core.types import IGNORE, Label
from unetflow.data.duplicates import make_thumbnail
from unetflow.data.intensity import intensity_histogram
from unetflow.data.object_sizes import ObjectSizes, measure_object_sizes
from unetflow.data.samples import Sample, SampleRecord
from unetflow.io.files import ArchiveMember, File, file_signature, file_size, hide_home
from unetflow.io.formats.readers import read_image, read_mask
from unetflow.io.image_hash import perceptual_hash, pixel_digest


def read_pair(pair: Pair, class_map: ClassMap, max_pixels: int) -> SampleRecord:
    """Read a source pair as a sample and describe it.

    Width times height must not exceed `max_pixels`, which is checked before decoding.

    Returns:
        The sample, described by all columns of the manifest except those of the split: `id`,
        `image_file`, `mask_file`, `image_sha256`, `mask_sha256`, `image_bytes`, `changed` (time of
        the image's last change), `height`, `width`, `channels`, `dtype`, `ignored` (fraction of
        the pixels), for each class `fraction_<name>` (fraction of the pixels that are not
        ignored), `objects` (their number; connected components if the source does not separate
        them), `touching` (objects with a pixel next to another object's, also across a corner;
        None if the source does not separate them), `has_instances`, `overlap` (pixels that several
        objects cover), `pixel_digest`, `perceptual_hash`, `source_group` and `source_split` (None
        if the source states none) and `is_series` (whether the source's group is a series of
        neighbours).

    Raises:
        InputError: One of the files cannot be read, or they do not match.
    """
    image = read_image(pair.image.file, max_pixels, pair.image.page)
    shape = image.shape[0], image.shape[1]
    drawn = pair.annotation.draw(shape, class_map, max_pixels)
    inside = None
    if pair.region is not None:
        inside = _read_region(pair.region, shape, class_map, max_pixels)
        instances = None if drawn.instances is None else np.where(inside, drawn.instances, 0)
        label = np.where(inside, drawn.label, np.uint8(IGNORE))
        drawn = RasterAnnotation(label, instances, drawn.overlap)
    objects = None if drawn.instances is None else measure_object_sizes(drawn.instances)
    return SampleRecord(
        Sample(image, drawn.label),
        drawn.instances,
        intensity_histogram(image, inside),
        make_thumbnail(image),
        _describe(pair, image, drawn, objects, class_map),
        None if objects is None else objects.areas,
    )


def _read_region(
    region: File, shape: tuple[int, int], class_map: ClassMap, max_pixels: int
) -> NDArray[np.bool_]:
    mask = read_mask(region, max_pixels, soft=class_map.binarise_at is not None)
    if class_map.binarise_at is None and len(np.setdiff1d(mask, [0])) > 1:
        raise InputError(
            region,
            "the region holds several values besides 0, so that its edge is not clear",
            "Save it as 0 outside and 255 inside, or set `ingestion.masks.binarise_at`",
        )
    inside = object_pixels(mask, class_map)
    check_shape(region, inside.shape, shape)
    if not inside.any():
        raise InputError(region, "no pixel counts", "Draw the region that counts as 255")
    return inside


def describe_source(pair: Pair) -> dict[str, Any]:
    """Return the part of a description that can change without any pixel changing."""
    file = pair.image.file
    changed = (file.archive if isinstance(file, ArchiveMember) else file).stat().st_mtime
    return {
        "mask_file": hide_home(pair.annotation.where),
        "changed": datetime.fromtimestamp(changed, UTC).isoformat(timespec="seconds"),
        "source_group": pair.group,
        "source_split": pair.split,
        "is_series": pair.is_series,
    }


def files_of(pair: Pair) -> list[File]:
    """Return the image's file, then those of its annotation and region."""
    region = [pair.region] if pair.region is not None else []
    return [pair.image.file, *pair.annotation.files, *region]


def mask_digest(pair: Pair) -> str:
    """Return the digest of a single mask file, or one digest of all parts of an annotation."""
    files = files_of(pair)[1:]
    if len(files) == 1 and pair.region is None:
        return file_digest(files[0])
    # The check sum stands for the bytes of a file in an archive: an image may have hundreds of
    # them, and reading each twice would take longer than decoding it.
    marks = [file_signature(f) if isinstance(f, ArchiveMember) else file_digest(f) for f in files]
    return hashlib.sha256("\n".join([pair.annotation.content, *marks]).encode()).hexdigest()


def file_digest(file: File) -> str:
    """Return the digest of a file; it is cached for the other pages of a stack."""
    return _file_digest_of(file, file_signature(file))


@lru_cache(maxsize=64)
def _file_digest_of(file: File, _signature: str) -> str:
    return sha256(file)


def _describe(
    pair: Pair,
    image: NDArray[np.generic],
    drawn: RasterAnnotation,
    objects: ObjectSizes | None,
    class_map: ClassMap,
) -> dict[str, Any]:
    counts = np.bincount(drawn.label.ravel(), minlength=IGNORE + 1)
    counted = drawn.label.size - counts[IGNORE]
    height, width, channels = image.shape
    return {
        "id": pair.id,
        "image_file": hide_home(str(pair.image)),
        **describe_source(pair),
        "image_sha256": file_digest(pair.image.file),
        "mask_sha256": mask_digest(pair),
        "image_bytes": file_size(pair.image.file),
        "height": height,
        "width": width,
        "channels": channels,
        "dtype": image.dtype.name,
        "ignored": float(counts[IGNORE] / drawn.label.size),
        **{
            f"fraction_{c.name}": float(counts[index] / max(counted, 1))
            for index, c in enumerate(class_map.classes)
        },
        "objects": _count_pieces(drawn.label) if objects is None else len(objects.areas),
        "touching": None if objects is None else objects.touching,
        "has_instances": objects is not None,
        "overlap": drawn.overlap,
        "pixel_digest": pixel_digest(image),
        "perceptual_hash": perceptual_hash(image),
    }


def _count_pieces(label: Label) -> int:
    foreground = np.where(label == IGNORE, 0, label)
    return int(ski.measure.label(foreground, background=0, connectivity=2).max())
