"""A finished segmenter and any images to masks and overlays."""

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetflow.imaging.errors import InputError
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


def export_masks(
    segmenter: Segmenter,
    images: dict[str, Callable[[], NDArray[np.generic]]],
    parameters: Mapping[str, Any],
) -> Iterator[tuple[Files, Files, Files]]:
    """Segment images one by one.

    An image that cannot be used is passed over; when all others are done, one error names it.

    Args:
        segmenter: The finished segmenter.
        images: A function for each name that reads the image.
        parameters: `mask_export`.

    Yields:
        For each image, under its name: a mask for people, 0 and 255, or of more than two classes
        each in its colour; a label mask with class indices; and the image with the mask's outline
        or colours.

    Raises:
        InputError: At the end, when images had to be passed over.
    """
    settings = read_parameters(MaskExportParameters, parameters, "mask_export")
    segmenter = segmenter.on_engine(settings.engine, settings.precision)
    refused = []
    classes = len(segmenter.settings.classes)
    for name, read in images.items():
        try:
            image = read()
            label = segmenter.predict(image)
        except InputError as error:
            refused.append(f"  {name}: {error}")
            continue
        overlay = draw_label(to_picture(image), label, classes, PREDICTION_COLOUR)
        mask = label * np.uint8(255) if classes == 2 else paint_classes(label)
        yield {name: mask}, {name: label}, {name: overlay}
    _log.info("Exported the masks of %d images", len(images) - len(refused))
    if refused:
        listing = "\n".join(refused)
        raise InputError(
            "images_to_segment",
            f"{len(refused)} of {len(images)} images could not be segmented:\n{listing}\n"
            "The masks of all others are written.\n",
            "Mend these images or move them away",
        )
