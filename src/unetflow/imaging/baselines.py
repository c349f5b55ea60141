"""What can be had without learning: the yardstick that a network must beat."""

import numpy as np
from numpy.typing import NDArray
from skimage.filters import threshold_otsu


def segment_by_otsu(
    image: NDArray[np.generic], *, bright: bool, inside: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_]:
    """Split an image at Otsu's threshold (Otsu 1979) of its mean over the channels.

    Args:
        image: `(height, width, channels)`.
        bright: Whether the foreground is the brighter side.
        inside: `(height, width)`, the pixels that the threshold is taken from; None: all.

    Returns:
        `(height, width)`, true for the foreground. An image that is constant there has none.
    """
    grey = image.mean(axis=2)
    values = grey if inside is None else grey[inside]
    if not values.size or values.min() == values.max():
        return np.zeros(grey.shape, bool)
    above: NDArray[np.bool_] = grey > threshold_otsu(values)
    return above if bright else ~above
