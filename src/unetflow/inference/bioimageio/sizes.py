"""Input sizes that a package supports, and a test image of such a size."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from unetflow.augmentation.crops import mirrored_places
from unetflow.core.errors import InputError
from unetflow.core.geometry import Geometry
from unetflow.inference.segmenter import Segmenter

_TESTED = 64
"""Smallest edge in pixels of the test output without its halo."""


def smallest_edge(geometry: Geometry, kept: int = 1) -> int:
    """Return the smallest input edge whose output has pixels outside the halo.

    Args:
        geometry: Of the network; its margin is the halo, which is cut off the output.
        kept: Smallest number of such pixels.
    """
    return geometry.fit(kept + 2 * (geometry.shrink + geometry.margin))


def choose_window(
    segmenter: Segmenter, images: Mapping[str, Callable[[], NDArray[np.generic]]]
) -> NDArray[np.generic]:
    """Cut a square out of the first image in which the segmenter finds something.

    The pixel with the highest probability of foreground is in its middle, or as close to it as the
    image's borders allow; where valid convolutions need context beyond them, the image is mirrored.

    Args:
        segmenter: The finished segmenter.
        images: Functions by name that read an image `(height, width, channels)`.

    Returns:
        `(edge, edge, channels)`, of the image's type and of an edge that the network takes.

    Raises:
        InputError: No image can be used, or nothing is found in any.
    """
    postprocessing, problems = segmenter.postprocessing, []
    for name, read in images.items():
        try:
            image = read()
            segmenter.require_fitting(image.shape, image.dtype)
        except InputError as error:
            problems.append(f"  {error}")
            continue
        window = _cut_around_foreground(segmenter, image)
        output = segmenter.runtime(window[np.newaxis])[0]
        if postprocessing.apply(postprocessing.calibrate(output)).any():
            return window
        problems.append(f"  {name}: the model finds nothing in it")
    listing = "\n".join(problems[:10])
    raise InputError(
        "images_to_segment",
        f"none of the {len(images)} images can be the test image of the package:\n{listing}\n",
        "Give images in which the model finds something, as in `--params images=FOLDER`",
    )


def _cut_around_foreground(segmenter: Segmenter, image: NDArray[np.generic]) -> NDArray[np.generic]:
    geometry = segmenter.settings.geometry
    edge = smallest_edge(geometry, _TESTED)
    found = segmenter.predict_probabilities(image)
    # A single probability is the foreground's, the first of several the background's.
    foreground = found[:, :, 0] if found.shape[2] == 1 else -found[:, :, 0]
    place = np.unravel_index(int(foreground.argmax()), foreground.shape)
    places = []
    for middle, length in zip(place, foreground.shape, strict=True):
        last = max(length + geometry.shrink - edge, -geometry.shrink)
        start = min(max(int(middle) - edge // 2, -geometry.shrink), last)
        places.append(mirrored_places(start, edge, length))
    return image[np.ix_(*places)]
