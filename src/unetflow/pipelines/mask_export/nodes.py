"""A finished segmenter and any images to masks, overlays and objects."""

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unetflow.imaging.errors import InputError
from unetflow.imaging.objects import (
    COLUMNS,
    Objects,
    ObjectSettings,
    find_objects,
    measure_objects,
)
from unetflow.imaging.overlays import (
    PREDICTION_COLOUR,
    draw_label,
    paint_classes,
    to_picture,
)
from unetflow.pipelines.checks import read_parameters
from unetflow.pipelines.parameters import MaskExportParameters
from unetflow.pipelines.types import Segmenter

_log = logging.getLogger(__name__)

Files = dict[str, NDArray[np.generic]]
ObjectFiles = dict[str, tuple[Objects, list[str]]]
ExportLog = list[dict[str, str]]
"""For each image its name and `reason`, why it failed, or `unlike`, in what it is unlike the
training images, empty if in nothing."""

Export = tuple[
    Files,
    Files,
    Files,
    ObjectFiles,
    ObjectFiles,
    ObjectFiles,
    dict[str, pd.DataFrame],
    ExportLog,
]

_SHOWN = 20
"""Images that a message lists."""


def export_masks(
    segmenter: Segmenter,
    images: dict[str, Callable[[], NDArray[np.generic]]],
    parameters: Mapping[str, Any],
) -> Iterator[Export]:
    """Segment images one by one; one that cannot be used is passed over and noted.

    Args:
        segmenter: The finished segmenter.
        images: A function for each name that reads the image.
        parameters: `mask_export`.

    Yields:
        For each image, under its name: a mask for people, 0 and 255, or of more than two classes
        each in its colour; a label mask with class indices; the image with the mask's outline or
        colours; its objects for three kinds of files, and a table of them. Besides, what became of
        all images so far.
    """
    settings = read_parameters(MaskExportParameters, parameters, "mask_export")
    segmenter = segmenter.on_engine(settings.engine, settings.precision)
    wanted = None if settings.objects is None else ObjectSettings(**settings.objects.model_dump())
    log: ExportLog = []
    classes = segmenter.settings.classes
    for name, read in images.items():
        try:
            image = read()
            label = segmenter.predict(image)
        except InputError as error:
            log.append({"image": name, "reason": str(error)})
            yield {}, {}, {}, {}, {}, {}, {}, log
            continue
        unlike = segmenter.explain_unlikeness(image)
        log.append({"image": name, "unlike": unlike})
        overlay = draw_label(to_picture(image), label, len(classes), PREDICTION_COLOUR)
        mask = label * np.uint8(255) if len(classes) == 2 else paint_classes(label)
        masks: tuple[Files, Files, Files] = {name: mask}, {name: label}, {name: overlay}
        if wanted is None:
            yield *masks, {}, {}, {}, {}, log
            continue
        found = find_objects(label, wanted)
        table = measure_objects(found, image, name, classes, unlike_training=unlike)
        named = {name: (found, classes)}
        yield *masks, named, named, named, {name: table}, log


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
    own = [tables[entry["image"]]() for entry in log if entry["image"] in tables]
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
    failed = [entry for entry in log if "reason" in entry]
    _log.info("Exported the masks of %d images", len(log) - len(failed))
    unlike = [f"  {entry['image']}: {entry['unlike']}" for entry in log if entry.get("unlike")]
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
        f"{len(failed)} of {len(log)} images could not be segmented:\n{listing}\n"
        "The masks of all others are written; the catalog entry `failed` lists these.\n",
        "Mend these images or move them away",
    )
