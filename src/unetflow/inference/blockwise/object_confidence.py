"""What the confidence of objects depends on, of a large image read region by region."""

from typing import Any

import numpy as np

from unetflow.instances.confidence import Evidence, sum_evidence
from unetflow.tiling.regions import plan_regions

REGION = 1024
"""Edge of a region in pixels."""


def gather_regions(
    numbers: Any, count: int, certainty: Any, landscape: Any | None, *, edge: int = REGION
) -> Evidence:
    """Return the evidence of the objects of an image, as `confidence.gather_evidence` does.

    Sums over regions add up to those of the whole image, since each is read with the pixels around
    it, which show where outlines are. Memory grows with the number of the objects.

    Args:
        numbers: Array `(height, width)`, the number of each pixel's object, from 1 on; 0 for none.
        count: Number of objects.
        certainty: Array `(height, width)` float32, the probability of each pixel's class.
        landscape: Array `(height, width)` float32; None where there is none.
        edge: Edge of a region in pixels.
    """
    total = Evidence.zeros(count)
    for region in plan_regions(numbers.shape, edge):
        window = region.extend(1, numbers.shape)
        known, own = np.unique(np.append(0, numbers[window.slices]), return_inverse=True)
        part = sum_evidence(
            own[1:].reshape(window.shape),
            len(known) - 1,
            np.asarray(certainty[window.slices]),
            None if landscape is None else np.asarray(landscape[window.slices]),
            region.within(window),
        )
        total.add(known[1:], part)
    return total
