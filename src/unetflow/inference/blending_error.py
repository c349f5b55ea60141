"""How far blended windows are from exact ones, measured on images that are at hand."""

from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from unetflow.core.errors import InputError
from unetflow.io.image_file import ImageFile
from unetflow.io.lazy_image import LazyImage
from unetflow.tiling.blending import measure_blending_error, plan_blended_windows

if TYPE_CHECKING:
    from unetflow.inference.segment_image import SegmentingSettings
    from unetflow.inference.segmenter import Segmenter

_LOOKED_AT = 10
"""Images among which one with seams is looked for."""
_WINDOWS = 2
"""Windows along each edge of what is measured, which is predicted twice."""


def describe_seams(
    segmenter: "Segmenter", images: Mapping[str, ImageFile], settings: "SegmentingSettings"
) -> str:
    """Measure the error at seams in the middle of the first image that has any, and tell it.

    Args:
        segmenter: The segmenter.
        images: By name; a few are looked at. One that cannot be used is passed over here.
        settings: With a share by which blended windows overlap.
    """
    own = segmenter.settings
    overlap = round((settings.blended_overlap or 0) * own.tile)
    for name, image in islice(images.items(), _LOOKED_AT):
        pixels = _read(segmenter, image, settings)
        if pixels is None:
            continue
        lengths = pixels.shape[:2]
        if all(len(plan_blended_windows(n, own.geometry, overlap, own.tile)) == 1 for n in lengths):
            continue
        middle = _middle(pixels, _WINDOWS * own.tile)
        error = measure_blending_error(
            segmenter.predictor(settings.views), middle, own.geometry, overlap, own.tile
        )
        return (
            f"Windows overlap by {overlap} pixels and are blended. Their probabilities differ from "
            f"those of exact windows by {error.largest:.2g} at most and by {error.mean:.2g} in the "
            f"mean, measured on {middle.shape[1]} x {middle.shape[0]} pixels of {name}"
        )
    return (
        f"Windows overlap by {overlap} pixels and are blended. None of the first images is larger "
        "than one window, where there are no seams"
    )


def _read(
    segmenter: "Segmenter", image: ImageFile, settings: "SegmentingSettings"
) -> NDArray[Any] | None:
    """Read an image; None where it is large, and so exact, or cannot be used."""
    try:
        opened = image.open(settings.large.from_pixels) if settings.large else image.open()
        if isinstance(opened, LazyImage):
            opened.close()
            return None
        pixels = opened.pixels
        segmenter.require_fitting(pixels.shape, pixels.dtype)
    except InputError:  # which is told when it is the image's turn
        return None
    return pixels


def _middle(pixels: NDArray[Any], edge: int) -> NDArray[Any]:
    top, left = (max(length - edge, 0) // 2 for length in pixels.shape[:2])
    return pixels[top : top + edge, left : left + edge]
