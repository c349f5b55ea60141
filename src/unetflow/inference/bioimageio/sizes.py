"""Which sizes a package promises, and an image of such a size to test it with."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from unetflow.augmentation.crops import mirrored_places
from unetflow.core.errors import InputError
from unetflow.core.geometry import Geometry
from unetflow.inference.segmenter import Segmenter

_TESTED = 64
"""Edge in pixels of what is left of the test output without its halo, at least."""


def smallest_edge(geometry: Geometry, kept: int = 1) -> int:
    """Return the smallest input edge of which some pixels have an output that no border changes.

    Args:
        geometry: Of the network. Its margin is the halo, which is cut off the output.
        kept: How many pixels that shall be at least.
    """
    return geometry.fit(kept + 2 * (geometry.shrink + geometry.margin))


def choose_window(
    segmenter: Segmenter, images: Mapping[str, Callable[[], NDArray[np.generic]]]
) -> NDArray[np.generic]:
    """Cut a square out of the first image in which the segmenter finds something.

    The pixel that is foreground most probably is in its middle, or as near to it as the image's
    borders allow; where valid convolutions need context beyond them, the image is mirrored.

    Args:
        segmenter: The finished segmenter.
        images: A function for each name that reads the image `(height, width, channels)`.

    Returns:
        `(edge, edge, channels)`, of the image's type; the network takes it as it is.

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
        f"none of the {len(images)} images can be what the package is tested with:\n{listing}\n",
        "Give images in which the model finds something, as in `--params images=FOLDER`",
    )


def _cut_around_foreground(segmenter: Segmenter, image: NDArray[np.generic]) -> NDArray[np.generic]:
    geometry = segmenter.settings.geometry
    edge = smallest_edge(geometry, _TESTED)
    found = segmenter.predict_probabilities(image)
    # One probability is the foreground's, the first of several the background's.
    foreground = found[:, :, 0] if found.shape[2] == 1 else -found[:, :, 0]
    place = np.unravel_index(int(foreground.argmax()), foreground.shape)
    places = []
    for middle, length in zip(place, foreground.shape, strict=True):
        last = max(length + geometry.shrink - edge, -geometry.shrink)
        start = min(max(int(middle) - edge // 2, -geometry.shrink), last)
        places.append(mirrored_places(start, edge, length))
    return image[np.ix_(*places)]
