"""Types and constants that every package shares."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Probabilities = NDArray[np.float32]
Predictor = Callable[[NDArray[np.generic]], Probabilities]
IGNORE = 255
"""The label of pixels that count neither in training nor in a score."""
Label = NDArray[np.uint8]
SPLITS = ("train", "validation", "test")
