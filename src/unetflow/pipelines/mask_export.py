"""The stage `mask_export`: segmenter and any images -> masks, objects, counts and failures."""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from kedro.pipeline import Pipeline
from numpy.typing import NDArray

from unetflow.config.mask_export import MaskExportParameters
from unetflow.core.errors import InputError
from unetflow.evaluation.object_rules import describe_doubt
from unetflow.inference.blending_error import describe_seams
from unetflow.inference.blockwise.result_files import ResultFolders
from unetflow.inference.executor import open_executor
from unetflow.inference.segment import SegmentedImage, segment
from unetflow.inference.segmenter import Segmenter
from unetflow.instances.export_formats import MAX_COCO_PIXELS
from unetflow.instances.image_table import (
    Findings,
    describe_counts,
    summarise_image,
    tabulate_images,
)
from unetflow.instances.large_objects import LargeObjects
from unetflow.instances.objects import COLUMNS, Objects
from unetflow.instances.shapes import AnyObjects
from unetflow.io.image_file import ImageFile
from unetflow.io.pixel_size import PixelSize
from unetflow.pipelines.stage import list_first, node, stage

_log = logging.getLogger(__name__)

Pictures = Mapping[str, NDArray[np.uint8]]
SizedFiles = Mapping[str, tuple[NDArray[Any], PixelSize | None]]
ObjectFiles = Mapping[str, tuple[AnyObjects, list[str]]]
Tables = Mapping[str, pd.DataFrame]

_SHOWN = 20
"""Images that a message lists."""


@dataclass(frozen=True)
class ExportedImage:
    """Outcome of one image.

    Attributes:
        name: Name of the image.
        file_name: Its file, with the folders of its name.
        reason: Why it could not be segmented; empty if it was.
        unlike: How it differs from the training images; empty if it does not.
        has_objects: Whether its objects were separated.
        found: What was found in it, see `image_table.summarise_image`; empty if it failed.
        large_objects: The objects, if it was segmented block by block.
    """

    name: str
    file_name: str
    reason: str = ""
    unlike: str = ""
    has_objects: bool = False
    found: Findings = field(default_factory=dict)
    large_objects: LargeObjects | None = None


@dataclass
class ExportLog:
    """What is known of an export.

    Attributes:
        classes: Names of the segmenter's classes.
        images: The outcomes of all images so far, in order.
        doubt: Why counts of objects cannot be trusted; empty if nothing is known against them.
    """

    classes: list[str]
    images: list[ExportedImage] = field(default_factory=list)
    doubt: str = ""


Export = tuple[
    Pictures,
    SizedFiles,
    SizedFiles,
    Pictures,
    SizedFiles,
    ObjectFiles,
    ObjectFiles,
    Tables,
    ExportLog,
]


def create_pipeline() -> Pipeline:
    """Wire the stage."""
    return stage(
        "mask_export",
        node(
            export_masks,
            ["segmenter", "images_to_segment", "large_results", "params:mask_export"],
            [
                "masks",
                "labels",
                "probabilities",
                "overlays",
                "instances",
                "polygons",
                "rois",
                "object_tables",
                "export_log",
            ],
        ),
        node(
            gather_objects,
            ["instances", "object_tables", "export_log"],
            ["objects", "objects_sheet", "coco"],
        ),
        node(list_images, "export_log", ["image_table", "image_sheet", "export_counts"]),
        node(list_failures, "export_log", "failed"),
        node(
            require_all,
            ["failed", "export_log", "objects", "image_table"],
            name="require_all_masks",
        ),
    )


def export_masks(
    segmenter: Segmenter,
    images: dict[str, ImageFile],
    large_results: ResultFolders,
    mask_export: MaskExportParameters,
) -> Iterator[Export]:
    """Segment images one by one; those that cannot be used are skipped and recorded.

    Labels, probabilities and object numbers of large images are written to the folders of
    `large_results`.

    Yields:
        For each image, by its name, the results that are wanted and exist: mask, label,
        probabilities and overlay (see `SegmentedImage`); its objects as numbers and for two kinds
        of files, and their table. Besides, the log of all images so far.
    """
    segmenter = segmenter.on_runtime(mask_export.runtime, mask_export.precision)
    if mask_export.blended_overlap is not None:
        _log.info(describe_seams(segmenter, images, mask_export))
    settings = segmenter.settings
    doubt = describe_doubt(settings.objects_numbered, mask_export.objects)
    log = ExportLog(settings.classes, doubt=doubt)
    with open_executor(mask_export, segmenter, Segmenter.serialise) as executor:
        for name, found in segment(segmenter, images, mask_export, large_results, executor):
            file_name = str(PurePosixPath(name).with_name(images[name].file.name))
            if isinstance(found, InputError):
                log.images.append(ExportedImage(name, file_name, str(found)))
                yield {}, {}, {}, {}, {}, {}, {}, {}, log
            else:
                yield _file(name, file_name, found, log)


def _file(name: str, file_name: str, found: SegmentedImage, log: ExportLog) -> Export:
    """Record the results of an image, and return each under its name."""
    size, objects = found.pixel_size, found.objects
    large = objects if isinstance(objects, LargeObjects) else None
    summary = summarise_image(found.class_pixels, found.table, log.classes, size)
    log.images.append(
        ExportedImage(name, file_name, "", found.unlike, objects is not None, summary, large)
    )
    outlined = {} if objects is None else {name: (objects, log.classes)}
    return (
        {} if found.mask is None else {name: found.mask},
        {} if found.label is None else {name: (found.label, size)},
        {} if found.probabilities is None else {name: (found.probabilities, size)},
        {name: found.overlay},
        {name: (objects.numbers, size)} if isinstance(objects, Objects) else {},
        outlined,
        outlined,
        {} if found.table is None else {name: found.table},
        log,
    )


def gather_objects(
    instances: dict[str, Callable[[], tuple[NDArray[Any], PixelSize | None]]],
    tables: dict[str, Callable[[], pd.DataFrame]],
    log: ExportLog,
) -> tuple[pd.DataFrame, pd.DataFrame, tuple[Iterator[tuple[str, AnyObjects]], list[str]]]:
    """Collect the objects of all images of this run.

    Functions by image read the numbers of the objects and their tables; images of earlier runs may
    be among them, and `log` has those of this run.

    Returns:
        The concatenated table, for each of the two files that it is written to; and for COCO's
        file the objects of each image by its file name, read lazily, with the names of the classes.
    """
    images = [image for image in log.images if image.has_objects]
    own = [tables[image.name]() for image in images]
    filled = [table for table in own if len(table)]
    nothing = own[0] if own else pd.DataFrame(columns=list(COLUMNS))
    whole = pd.concat(filled, ignore_index=True) if filled else nothing
    index = {name: number for number, name in enumerate(log.classes)}

    def read(image: ExportedImage) -> AnyObjects:
        if image.large_objects is not None:
            return image.large_objects
        numbers, _ = instances[image.name]()
        table = tables[image.name]()
        classes = [index[class_name] for class_name in table["class"]]
        confidence = table["confidence"].to_numpy()
        known = None if np.isnan(confidence).any() else confidence
        return Objects(numbers.astype(np.uint32), np.array(classes, np.uint8), known)

    fitting = [image for image in images if _fits_coco(image)]
    return whole, whole, (((image.file_name, read(image)) for image in fitting), log.classes)


def _fits_coco(image: ExportedImage) -> bool:
    """Return whether the objects of an image fit into COCO's format, and warn if they do not."""
    large = image.large_objects
    if large is None or large.shape[0] * large.shape[1] <= MAX_COCO_PIXELS:
        return True
    _log.warning(
        "%s: its objects are not in COCO's file, whose run lengths have 32 bits, too few for %d x "
        "%d pixels; the tables and the polygons have them",
        image.name,
        *large.shape[::-1],
    )
    return False


def list_images(log: ExportLog) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """Tabulate the images of this run, those without objects and failed ones included.

    Returns:
        The table of `image_table.tabulate_images`, for each of the two files that it is written to;
        and the sentence of `image_table.describe_counts`.
    """
    rows = [(image.name, image.found, image.unlike, image.reason) for image in log.images]
    table = tabulate_images(rows, log.classes)
    return table, table, describe_counts(table, log.classes)


def list_failures(log: ExportLog) -> pd.DataFrame:
    """List the images that could not be segmented, and warn about doubtful results.

    These are images unlike the training data, and counts where no sample numbers its objects.

    Returns:
        A row for each with `image` and `reason`.
    """
    failed = [(image.name, image.reason) for image in log.images if image.reason]
    _log.info("Exported the masks of %d images", len(log.images) - len(failed))
    unlike = [f"  {image.name}: {image.unlike}" for image in log.images if image.unlike]
    if unlike:
        listing = list_first(unlike, _SHOWN)
        _log.warning("The masks of %d images may be unreliable:\n%s", len(unlike), listing)
    if log.doubt and any(image.has_objects for image in log.images):
        _log.warning(log.doubt)
    return pd.DataFrame(failed, columns=["image", "reason"])


def require_all(
    failed: pd.DataFrame, log: ExportLog, objects: pd.DataFrame, images: pd.DataFrame
) -> None:
    """Fail when images were skipped, after the results of all others are written.

    `objects` are those of all others, and `images` describes each: inputs, so that they are written
    first.

    Raises:
        InputError: An image was skipped.
    """
    if not len(failed):
        return
    rows = [f"  {row.image}: {row.reason}" for row in failed.itertuples()]
    raise InputError(
        "images_to_segment",
        f"{len(failed)} of {len(log.images)} images could not be segmented:\n"
        f"{list_first(rows, _SHOWN)}\n"
        "The masks of all others are written; the catalog entry `failed` lists these.\n",
        "Fix these images or move them away",
    )
