"""A finished segmenter and any images to masks and overlays."""

import logging
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from unetflow.imaging.errors import InputError
from unetflow.imaging.overlays import PREDICTION_COLOUR, draw_outline, to_picture
from unetflow.pipelines.types import Segmenter

_log = logging.getLogger(__name__)

Files = dict[str, NDArray[np.generic]]


def export_masks(
    segmenter: Segmenter, images: dict[str, Callable[[], NDArray[np.generic]]]
) -> Iterator[tuple[Files, Files, Files]]:
    """Segment images one by one.

    An image that cannot be used is passed over; when all others are done, one error names it.

    Args:
        segmenter: The finished segmenter.
        images: A function for each name that reads the image.

    Yields:
        For each image, under its name: a mask for people, 0 and 255; a label mask with class
        indices; and the image with the mask's outline.

    Raises:
        InputError: At the end, when images had to be passed over.
    """
    refused = []
    for name, read in images.items():
        try:
            image = read()
            label = segmenter.predict(image)
        except InputError as error:
            refused.append(f"  {name}: {error}")
            continue
        overlay = draw_outline(to_picture(image), label, PREDICTION_COLOUR)
        yield {name: label * np.uint8(255)}, {name: label}, {name: overlay}
    _log.info("Exported the masks of %d images", len(images) - len(refused))
    if refused:
        listing = "\n".join(refused)
        raise InputError(
            "images_to_segment",
            f"{len(refused)} of {len(images)} images could not be segmented:\n{listing}\n"
            "The masks of all others are written.\n",
            "Mend these images or move them away",
        )
