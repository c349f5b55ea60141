"""A finished segmenter and any images to masks, overlays and objects."""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unetflow.imaging.errors import InputError
from unetflow.imaging.image_file import ImageFile
from unetflow.imaging.objects import COLUMNS, Objects, ObjectSettings
from unetflow.pipelines.checks import read_parameters
from unetflow.pipelines.parameters import MaskExportParameters
from unetflow.pipelines.types import Segmenter
from unetflow.unet.segmenting import SegmentingSettings, segment_images

_log = logging.getLogger(__name__)

Files = Mapping[str, NDArray[np.generic]]
ObjectFiles = Mapping[str, tuple[Objects, list[str]]]


@dataclass
class ExportLog:
    """What became of the images.

    Attributes:
        classes: The names of the segmenter's classes, the background first.
        images: For each image its name and `reason`, why it failed, or `unlike`, in what it is
            unlike the training images, empty if in nothing.
    """

    classes: list[str]
    images: list[dict[str, str]] = field(default_factory=list)

    @property
    def failed(self) -> list[dict[str, str]]:
        """Those that could not be segmented."""
        return [entry for entry in self.images if "reason" in entry]


Export = tuple[
    Files,
    Files,
    Files,
    ObjectFiles,
    ObjectFiles,
    ObjectFiles,
    Mapping[str, pd.DataFrame],
    ExportLog,
]

_SHOWN = 20
"""Images that a message lists."""


def export_masks(
    segmenter: Segmenter, images: dict[str, ImageFile], parameters: Mapping[str, Any]
) -> Iterator[Export]:
    """Segment images one by one; one that cannot be used is passed over and noted.

    Args:
        segmenter: The finished segmenter.
        images: By name.
        parameters: `mask_export`.

    Yields:
        For each image, under its name: a mask for people, 0 and 255, or of more than two classes
        each in its colour; a label mask with class indices; the image with the mask's outline or
        colours; its objects for three kinds of files, and a table of them. Besides, what became of
        all images so far.
    """
    settings = read_parameters(MaskExportParameters, parameters, "mask_export")
    segmenter = segmenter.on_engine(settings.engine, settings.precision)
    classes = segmenter.settings.classes
    log = ExportLog(classes)
    wanted = SegmentingSettings(
        None if settings.objects is None else ObjectSettings(**settings.objects.model_dump())
    )
    for name, found in segment_images(segmenter, images, wanted):
        if isinstance(found, InputError):
            log.images.append({"image": name, "reason": str(found)})
            yield {}, {}, {}, {}, {}, {}, {}, log
            continue
        log.images.append({"image": name, "unlike": found.unlike})
        objects = {} if found.objects is None else {name: (found.objects, classes)}
        tables = {} if found.table is None else {name: found.table}
        masks, labels, overlays = {name: found.mask}, {name: found.label}, {name: found.overlay}
        yield masks, labels, overlays, objects, objects, objects, tables, log


def gather_objects(
    tables: dict[str, Callable[[], pd.DataFrame]], log: ExportLog
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Put the tables of all images of this run one below the other.

    Args:
        tables: A function for each image that reads its table; there may be older ones among them.
        log: What became of each image.

    Returns:
        The table, once for each of the two files that it is written to.
    """
    own = [tables[entry["image"]]() for entry in log.images if entry["image"] in tables]
    filled = [table for table in own if len(table)]
    nothing = own[0] if own else pd.DataFrame(columns=list(COLUMNS))
    whole = pd.concat(filled, ignore_index=True) if filled else nothing
    return whole, whole


def list_failures(log: ExportLog) -> pd.DataFrame:
    """List the images that could not be segmented, and warn of those unlike the training data.

    Args:
        log: What became of each image.

    Returns:
        A row for each with its `image` and the `reason`.
    """
    failed = log.failed
    _log.info("Exported the masks of %d images", len(log.images) - len(failed))
    unlike = [
        f"  {entry['image']}: {entry['unlike']}" for entry in log.images if entry.get("unlike")
    ]
    if unlike:
        more = f"\n  and {len(unlike) - _SHOWN} more" if len(unlike) > _SHOWN else ""
        _log.warning(
            "The masks of %d images may be worth little:\n%s%s",
            len(unlike),
            "\n".join(unlike[:_SHOWN]),
            more,
        )
    return pd.DataFrame(failed, columns=["image", "reason"])


def require_all(failed: pd.DataFrame, log: ExportLog, objects: pd.DataFrame) -> None:
    """Make a failure of it when images had to be passed over, now that all others are written.

    Args:
        failed: The images that could not be segmented.
        log: What became of each image.
        objects: Of all others; they are written before.

    Raises:
        InputError: There are some.
    """
    if not len(failed):
        return
    rows = [f"  {row.image}: {row.reason}" for row in failed.head(_SHOWN).itertuples()]
    if len(failed) > _SHOWN:
        rows.append(f"  and {len(failed) - _SHOWN} more")
    listing = "\n".join(rows)
    raise InputError(
        "images_to_segment",
        f"{len(failed)} of {len(log.images)} images could not be segmented:\n{listing}\n"
        "The masks of all others are written; the catalog entry `failed` lists these.\n",
        "Mend these images or move them away",
    )
