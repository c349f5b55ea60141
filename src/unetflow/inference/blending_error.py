"""Error of blended windows against exact ones, measured on the images to segment."""

from collections.abc import Mapping
from itertools import islice

from unetflow.config.mask_export import MaskExportParameters
from unetflow.core.errors import InputError
from unetflow.inference.segmenter import Segmenter
from unetflow.io.image_file import ImageFile
from unetflow.tiling.windows import measure_blending_error, plan_blended_windows

_TRIED = 10
"""Images among which one with seams is searched."""
_WINDOWS = 2
"""Windows along each edge of the measured part, which is predicted twice."""


def describe_seams(
    segmenter: Segmenter, images: Mapping[str, ImageFile], wanted: MaskExportParameters
) -> str:
    """Describe the error at seams in the middle of the first image that has any.

    The first images are tried, and those that cannot be used are skipped; `wanted` must have a
    `blended_overlap`.
    """
    geometry, tile = segmenter.settings.geometry, segmenter.settings.tile
    overlap = round((wanted.blended_overlap or 0) * tile)
    blended = f"Windows overlap by {overlap} pixels and are blended. "
    for name, image in islice(images.items(), _TRIED):
        try:
            if image.is_large(wanted.large.min_pixels):  # and so joined exactly
                continue
            pixels = image.open().pixels
            segmenter.require_fitting(pixels.shape, pixels.dtype)
        except InputError:  # reported when the image is segmented
            continue
        lengths = pixels.shape[:2]
        if all(len(plan_blended_windows(n, geometry, overlap, tile)) == 1 for n in lengths):
            continue
        top, left = (max(length - _WINDOWS * tile, 0) // 2 for length in lengths)
        middle = pixels[top : top + _WINDOWS * tile, left : left + _WINDOWS * tile]
        predictor = segmenter.predictor(wanted.views)
        error = measure_blending_error(predictor, middle, geometry, overlap, tile)
        return (
            f"{blended}Their probabilities differ from those of exact windows by "
            f"{error.largest:.2g} at most and by {error.mean:.2g} in the mean, measured on "
            f"{middle.shape[1]} x {middle.shape[0]} pixels of {name}"
        )
    return f"{blended}None of the first images is larger than one window, where there are no seams"
