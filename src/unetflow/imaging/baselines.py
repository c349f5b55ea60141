"""What can be had without learning: the yardstick that a network must beat."""

import numpy as np
from numpy.typing import NDArray
from skimage.filters import threshold_otsu


def segment_by_otsu(image: NDArray[np.generic], *, bright: bool) -> NDArray[np.bool_]:
    """Split an image at Otsu's threshold (Otsu 1979) of its mean over the channels.

    Args:
        image: `(height, width, channels)`.
        bright: Whether the foreground is the brighter side.

    Returns:
        `(height, width)`, true for the foreground. A constant image has none.
    """
    grey = image.mean(axis=2)
    if grey.min() == grey.max():
        return np.zeros(grey.shape, bool)
    above: NDArray[np.bool_] = grey > threshold_otsu(grey)
    return above if bright else ~above
