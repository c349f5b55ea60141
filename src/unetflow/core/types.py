"""Types and constants that every package shares."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

PixelArray = NDArray[np.generic]
"""An image or a part of it, usually `(height, width, channels)`."""
Probabilities = NDArray[np.float32]
Predictor = Callable[[PixelArray], Probabilities]
IGNORE = 255
"""The label of pixels that count neither in training nor in a score."""
Label = NDArray[np.uint8]
SPLITS = ("train", "validation", "test")

ObjectOutput = Literal["boundary", "distance"]
OBJECT_OUTPUTS: Mapping[str, tuple[ObjectOutput, ...]] = {
    "none": (),
    "boundary": ("boundary",),
    "distance": ("distance",),
    "both": ("boundary", "distance"),
}
"""The outputs that a network has for objects, besides the probabilities of classes, in this order.

`boundary` is the probability that a pixel lies on the outline of an object, `distance` the distance
to the nearest pixel outside the object, from 0 at its edge to 1 at its middle.
"""

Identity = Mapping[str, Any]
"""All that a training's result depends on, by name, as plain values that JSON can hold."""


def name_differences(stored: Identity, current: Identity) -> list[str]:
    """Return the names in which two identities differ, with both values where they are short."""
    found = []
    for name in sorted(stored.keys() | current.keys()):
        before, now = stored.get(name), current.get(name)
        if before == now:
            continue
        short = len(f"{before}{now}") < 80
        found.append(f"{name} ({before} there, {now} now)" if short else name)
    return found
