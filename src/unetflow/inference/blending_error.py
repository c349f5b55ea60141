"""Error of blended windows against exact ones, measured on the images to segment."""

from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from unetflow.config.mask_export import MaskExportParameters
from unetflow.core.errors import InputError
from unetflow.io.image_file import ImageFile
from unetflow.io.lazy_image import LazyImage
from unetflow.tiling.windows import measure_blending_error, plan_blended_windows

if TYPE_CHECKING:
    from unetflow.inference.segmenter import Segmenter

_TRIED = 10
"""Images among which one with seams is searched."""
_WINDOWS = 2
"""Windows along each edge of the measured part, which is predicted twice."""


def describe_seams(
    segmenter: "Segmenter", images: Mapping[str, ImageFile], wanted: MaskExportParameters
) -> str:
    """Describe the error at seams in the middle of the first image that has any.

    Args:
        segmenter: The segmenter.
        images: By name; the first ones are tried, and those that cannot be used are skipped.
        wanted: Parameters with a `blended_overlap`.
    """
    own = segmenter.settings
    overlap = round((wanted.blended_overlap or 0) * own.tile)
    for name, image in islice(images.items(), _TRIED):
        pixels = _read(segmenter, image, wanted)
        if pixels is None:
            continue
        lengths = pixels.shape[:2]
        if all(len(plan_blended_windows(n, own.geometry, overlap, own.tile)) == 1 for n in lengths):
            continue
        middle = _middle(pixels, _WINDOWS * own.tile)
        error = measure_blending_error(
            segmenter.predictor(wanted.views), middle, own.geometry, overlap, own.tile
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
    segmenter: "Segmenter", image: ImageFile, wanted: MaskExportParameters
) -> NDArray[Any] | None:
    """Read an image; None where it is large, and so joined exactly, or cannot be used."""
    try:
        opened = image.open(wanted.large.min_pixels)
        if isinstance(opened, LazyImage):
            opened.close()
            return None
        pixels = opened.pixels
        segmenter.require_fitting(pixels.shape, pixels.dtype)
    except InputError:  # reported when the image is segmented
        return None
    return pixels


def _middle(pixels: NDArray[Any], edge: int) -> NDArray[Any]:
    top, left = (max(length - edge, 0) // 2 for length in pixels.shape[:2])
    return pixels[top : top + edge, left : left + edge]
