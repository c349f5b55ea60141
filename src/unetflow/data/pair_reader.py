"""A source pair read, and all that is known of it written down."""

import hashlib
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label as connected_components

from unetflow.annotations.class_map import ClassMap, object_pixels
from unetflow.annotations.raster import check_shape
from unetflow.annotations.records import Pair, RasterAnnotation
from unetflow.core.errors import InputError
from unetflow.core.hashing import sha256
from unetflow.core.types import IGNORE, Label
from unetflow.data.intensity import intensity_histogram
from unetflow.data.samples import Sample, SampleRecord
from unetflow.data.similarity import make_thumbnail
from unetflow.io.archive import ArchiveMember
from unetflow.io.files import File, file_signature, file_size, hide_home
from unetflow.io.formats.registry import read_image, read_mask
from unetflow.io.image_hash import perceptual_hash, pixel_digest


def read_pair(pair: Pair, class_map: ClassMap, max_pixels: int) -> SampleRecord:
    """Read a source pair as a sample and describe it.

    Args:
        pair: The image and its annotation.
        class_map: What the annotation's values mean.
        max_pixels: Width times height that a file's header may claim.

    Returns:
        The sample and, as plain values, all columns of the manifest but those of the split:
        `id`, `image_file`, `mask_file`, `image_sha256`, `mask_sha256`, `image_bytes`, `changed`
        (time of the image's last change), `height`, `width`, `channels`, `dtype`, `ignored`
        (share of pixels), for each class `fraction_<name>` (share of the pixels that are not
        ignored), `objects` (their number: connected pixels where the source does not tell them
        apart), `has_instances`, `overlap` (pixels that several objects claim), `pixel_digest`,
        `perceptual_hash`, `source_group` and `source_split` (None where the source knows none)
        and `is_series` (whether the source's group is a series of neighbours).

    Raises:
        InputError: One of the files cannot be read, or the two don't fit together.
    """
    image = read_image(pair.image.file, max_pixels, pair.image.page)
    drawn = pair.annotation.draw((image.shape[0], image.shape[1]), class_map, max_pixels)
    inside = None
    if pair.region is not None:
        inside = _read_region(pair.region, class_map, max_pixels)
        check_shape(pair.region, inside.shape, (image.shape[0], image.shape[1]))
        drawn = _cut_to_region(drawn, inside)
        if not inside.any():
            raise InputError(pair.region, "no pixel counts", "Draw the region that counts as 255")
    description = _describe(pair, image, drawn, class_map)
    return SampleRecord(
        Sample(image, drawn.label),
        drawn.instances,
        intensity_histogram(image, inside),
        make_thumbnail(image),
        description,
    )


def _read_region(region: File, class_map: ClassMap, max_pixels: int) -> NDArray[np.bool_]:
    mask = read_mask(region, max_pixels, soft=class_map.threshold is not None)
    if class_map.threshold is None and len(np.setdiff1d(mask, [0])) > 1:
        raise InputError(
            region,
            "the region holds several values besides 0, so that its edge is not clear",
            "Save it as 0 outside and 255 inside, or set `ingestion.masks.threshold`",
        )
    return object_pixels(mask, class_map)


def describe_source(pair: Pair) -> dict[str, Any]:
    """Return the part of a description that may change though no pixel has."""
    return {
        "mask_file": hide_home(pair.annotation.where),
        "changed": _time_of_change(pair.image.file),
        "source_group": pair.group,
        "source_split": pair.split,
        "is_series": pair.is_series,
    }


def files_of(pair: Pair) -> list[File]:
    """Return the image's file, then those of its annotation and region."""
    region = [pair.region] if pair.region is not None else []
    return [pair.image.file, *pair.annotation.files, *region]


def mask_digest(pair: Pair) -> str:
    """Return the digest of one mask file, or one digest of all that an annotation is made of."""
    files = files_of(pair)[1:]
    if len(files) == 1 and pair.region is None:
        return file_digest(files[0])
    # Of a file in an archive the check sum, which reading it verifies, stands for its bytes: an
    # image may have hundreds, and reading each of them twice would cost more than decoding it.
    marks = [file_signature(f) if isinstance(f, ArchiveMember) else file_digest(f) for f in files]
    return hashlib.sha256("\n".join([pair.annotation.content, *marks]).encode()).hexdigest()


def file_digest(file: File) -> str:
    """Return the digest of a file; the pages of a stack don't read it again and again."""
    return _file_digest_of(file, file_signature(file))


@lru_cache(maxsize=64)
def _file_digest_of(file: File, _signature: str) -> str:
    return sha256(file)


def _cut_to_region(drawn: RasterAnnotation, inside: NDArray[np.bool_]) -> RasterAnnotation:
    label = np.where(inside, drawn.label, np.uint8(IGNORE))
    if drawn.instances is None:
        return RasterAnnotation(label, None, drawn.overlap)
    return RasterAnnotation(label, np.where(inside, drawn.instances, 0), drawn.overlap)


def _describe(
    pair: Pair, image: NDArray[np.generic], drawn: RasterAnnotation, class_map: ClassMap
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
        "objects": _count_objects(drawn.label, drawn.instances),
        "has_instances": drawn.instances is not None,
        "overlap": drawn.overlap,
        "pixel_digest": pixel_digest(image),
        "perceptual_hash": perceptual_hash(image),
    }


def _count_objects(label: Label, instances: NDArray[np.unsignedinteger] | None) -> int:
    if instances is not None:
        return int(np.count_nonzero(np.bincount(instances.ravel())[1:]))
    foreground = np.where(label == IGNORE, 0, label)
    return int(connected_components(foreground, background=0, connectivity=2).max())


def _time_of_change(file: File) -> str:
    path = file.archive if isinstance(file, ArchiveMember) else file
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds")
