"""All families of scores: their definitions and functions."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from unetflow.config.evaluation import ScoreFamily, ScoreParameters
from unetflow.core.types import Label
from unetflow.metrics import lines, pixels, regions
from unetflow.metrics.shared import ClassMasks, Definition

FAMILIES: dict[ScoreFamily, dict[str, Definition]] = {
    "pixels": pixels.DEFINITIONS,
    "surface": lines.SURFACE,
    "instances": regions.INSTANCES,
    "centreline": lines.CENTRELINE,
    "membranes": regions.MEMBRANES,
}
"""The scores of each family for one class in one image."""

DEFINITIONS = {name: known for family in FAMILIES.values() for name, known in family.items()}
"""The definition of each score of one class in one image."""


def score_class(
    truth: Label,
    found: Label,
    index: int,
    settings: ScoreParameters,
    objects: NDArray[np.unsignedinteger] | None = None,
    found_objects: NDArray[np.unsignedinteger] | None = None,
) -> dict[str, float]:
    """Compute the scores of one class in one image.

    Args:
        truth: `(height, width)` class indices; 255 is ignored.
        found: `(height, width)` class indices.
        index: Index of the class.
        settings: Which scores.
        objects: `(height, width)`, the number of each pixel's true object; None where unknown,
            which omits the family `instances`.
        found_objects: Likewise of each pixel's found object; None: they are connected regions.

    Returns:
        The scores by their names in `DEFINITIONS`. A score that is left out where the truth lacks
        the class is NaN there; none is infinite.
    """
    masks = ClassMasks.of(truth, found, index)
    compute: dict[str, Callable[[], dict[str, float]]] = {
        "pixels": lambda: pixels.count_confusion(truth, masks.found, index).scores(),
        "surface": lambda: lines.score_surface(masks, settings.surface_tolerance),
        "instances": lambda: (
            {} if objects is None else regions.score_instances(masks, objects, found_objects)
        ),
        "centreline": lambda: lines.score_centreline(masks),
        "membranes": lambda: regions.score_membranes(masks),
    }
    return {name: value for family in settings.scores for name, value in compute[family]().items()}
