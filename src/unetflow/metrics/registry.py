"""Registry of all metrics: each family with its definitions and its function."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from unetflow.config.evaluation import ScoreFamily, ScoreParameters
from unetflow.core.types import Label
from unetflow.metrics import centreline, instance_matching, membranes, pixels, surface
from unetflow.metrics.class_masks import ClassMasks
from unetflow.metrics.definitions import Definition

FAMILIES: dict[ScoreFamily, dict[str, Definition]] = {
    "pixels": pixels.DEFINITIONS,
    "surface": surface.DEFINITIONS,
    "instances": instance_matching.DEFINITIONS,
    "centreline": centreline.DEFINITIONS,
    "membranes": membranes.DEFINITIONS,
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
) -> dict[str, float]:
    """Compute the scores of one class in one image.

    Args:
        truth: `(height, width)` class indices; 255 is ignored.
        found: `(height, width)` class indices.
        index: Index of the class.
        settings: Which scores.
        objects: `(height, width)`, the number of each pixel's true object; None where unknown,
            which omits the family `instances`.

    Returns:
        The scores by their names in `DEFINITIONS`. None of them is NaN or infinite.
    """
    masks = ClassMasks.of(truth, found, index)
    compute: dict[str, Callable[[], dict[str, float]]] = {
        "pixels": lambda: pixels.score_pixels(pixels.count_confusion(truth, masks.found, index)),
        "surface": lambda: surface.score_surface(masks, settings.surface_tolerance),
        "instances": lambda: (
            {} if objects is None else instance_matching.score_instances(masks, objects)
        ),
        "centreline": lambda: centreline.score_centreline(masks),
        "membranes": lambda: membranes.score_membranes(masks),
    }
    return {name: value for family in settings.scores for name, value in compute[family]().items()}
