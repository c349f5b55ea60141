"""Objects as a JSON file in the form of COCO, with run lengths as pycocotools packs them."""

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
    """Write the objects of any number of images into one file, in one step.

    Nothing but the names and sizes of the images stays in memory.

    The categories are the classes but the background, and their ids the class indices.

    Args:
        path: The file to make or replace.
        images: The name of each image's file, and its objects; they are taken one at a time.
        class_names: The names in the order of the class indices, the background first.

    Raises:
        InputError: There is no name for a class.
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
    """Yield what is said of each object, but for its ids."""
    from pycocotools import mask as coco_masks

    lengths = _run_lengths(objects.numbers)
    if not lengths:
        return
    runs = coco_masks.frPyObjects(lengths, *objects.numbers.shape)
    for run, index in zip(runs, objects.classes, strict=True):
        # One at a time: pycocotools 2.0.11 fails at more than 255 of them under NumPy 2.
        yield {
            "category_id": int(index),
            "segmentation": {"size": run["size"], "counts": run["counts"].decode("ascii")},
            "area": int(coco_masks.area(run)),
            "bbox": coco_masks.toBbox(run).tolist(),
            "iscrowd": 0,
        }


def _run_lengths(numbers: NDArray[np.unsignedinteger]) -> list[dict[str, Any]]:
    """Return the run lengths of each object down the columns: outside, inside, outside ...

    All objects are found in one pass over the image, instead of a mask of its size for each.
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
    """Return the distances between edges; a last one follows unless the image ends with them."""
    edges = edges if edges[-1] == pixels else np.append(edges, pixels)
    lengths: list[int] = np.diff(edges, prepend=0).tolist()
    return lengths
