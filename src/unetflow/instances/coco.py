"""Objects in the COCO format, with the compressed run lengths of pycocotools."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetflow.core.atomic import atomic_write
from unetflow.instances.extraction import Objects


def write_coco(
    path: Path, images: Iterable[tuple[str, Objects]], class_names: Sequence[str]
) -> None:
    """Write the objects of any number of images into one file, replaced in one step.

    The categories are the classes except the background, with the class indices as ids. Only the
    names and sizes of the images stay in memory.

    Args:
        path: File to create or replace.
        images: File name and objects of each image, read one at a time.
        class_names: Names of the classes, the background first.

    Raises:
        InputError: A class has no name.
    """
    listed: list[dict[str, Any]] = []
    count = 0
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write('{"annotations":[')
        for image_id, (file_name, objects) in enumerate(images, start=1):
            objects.name_classes(class_names)
            height, width = objects.numbers.shape
            size = {"width": width, "height": height}
            listed.append({"id": image_id, "file_name": file_name, **size})
            for annotation in _annotate(objects):
                count += 1
                ids = {"id": count, "image_id": image_id}
                file.write((count > 1) * "," + _pack(ids | annotation))
        categories = [
            {"id": index, "name": name} for index, name in enumerate(class_names) if index > 0
        ]
        file.write(f'],"images":{_pack(listed)},"categories":{_pack(categories)}}}')


def _pack(content: object) -> str:
    return json.dumps(content, separators=(",", ":"))


def _annotate(objects: Objects) -> Iterator[dict[str, Any]]:
    """Yield the annotation of each object, without its ids."""
    from pycocotools import mask as coco_masks

    lengths = _run_lengths(objects.numbers)
    if not lengths:
        return
    runs = coco_masks.frPyObjects(lengths, *objects.numbers.shape)
    for run, index in zip(runs, objects.classes, strict=True):
        # One at a time, since pycocotools 2.0.11 fails for more than 255 objects under NumPy 2.
        yield {
            "category_id": int(index),
            "segmentation": {"size": run["size"], "counts": run["counts"].decode("ascii")},
            "area": int(coco_masks.area(run)),
            "bbox": coco_masks.toBbox(run).tolist(),
            "iscrowd": 0,
        }


def _run_lengths(numbers: NDArray[np.unsignedinteger]) -> list[dict[str, Any]]:
    """Return the run lengths of each object in column-major order: outside, inside, outside ...

    One pass over the image finds all objects, without a mask for each.
    """
    flat = numbers.ravel(order="F")
    starts = np.flatnonzero(np.diff(flat, prepend=0)) if len(flat) else np.zeros(0, np.intp)
    ends = np.append(starts[1:], len(flat))
    inside = flat[starts] > 0
    starts, ends, owners = starts[inside], ends[inside], flat[starts[inside]]
    order = np.argsort(owners, kind="stable")
    edges = np.stack([starts[order], ends[order]], axis=1)
    last = np.flatnonzero(np.diff(owners[order])) + 1
    size = list(numbers.shape)
    return [
        {"size": size, "counts": _lengths(pairs.ravel(), len(flat))}
        for pairs in np.split(edges, last)
        if len(pairs)
    ]


def _lengths(edges: NDArray[np.intp], pixels: int) -> list[int]:
    """Return the distances between edges, and from the last edge to the end of the image."""
    edges = edges if edges[-1] == pixels else np.append(edges, pixels)
    lengths: list[int] = np.diff(edges, prepend=0).tolist()
    return lengths
