"""How far the outlines of what was found lie from the true ones, in pixels."""

import math
import warnings

import numpy as np

from unetflow.metrics.class_masks import ClassMasks
from unetflow.metrics.definitions import Definition

_FAR = "0 when truth and prediction are both empty; the image's diagonal when one of them is"
_IGNORED = (
    "pixels with label 255 are taken for pixels without the class in truth and prediction alike"
)
_OUTLINE = (
    "Outlines run through the corners of pixels, also along the image's border, each piece counts "
    "by its length (Nikolov et al. 2018, arXiv 1809.04430)"
)

DEFINITIONS = {
    "hd95": Definition(
        "95th percentile of the distances from one outline to the other, the larger one of both "
        f"directions, in pixels. {_OUTLINE}",
        _FAR,
        _IGNORED,
    ),
    "surface_distance": Definition(
        "mean of the distances from each outline to the other, both directions together, in "
        f"pixels. {_OUTLINE}",
        _FAR,
        _IGNORED,
    ),
    "surface_dice": Definition(
        "share of both outlines that lies within the tolerance of the other. " + _OUTLINE,
        "1 when truth and prediction are both empty, 0 when one of them is",
        _IGNORED,
    ),
}


def score_surface(masks: ClassMasks, tolerance: float) -> dict[str, float]:
    """Compare the outlines of one class in one image.

    Args:
        masks: Where the class is and where it was found.
        tolerance: Of the surface Dice, in pixels.

    Returns:
        The scores of `DEFINITIONS`.
    """
    if not masks.true.any() or not masks.found.any():
        equal = not masks.true.any() and not masks.found.any()
        far = 0.0 if equal else math.hypot(*masks.true.shape)
        return {"hd95": far, "surface_distance": far, "surface_dice": float(equal)}
    import surface_distance  # half a second

    with warnings.catch_warnings():
        # The package calls SciPy's functions by names that go away with SciPy 2.
        warnings.simplefilter("ignore", DeprecationWarning)
        outlines = surface_distance.compute_surface_distances(masks.true, masks.found, (1, 1))
    distances = np.concatenate([outlines["distances_gt_to_pred"], outlines["distances_pred_to_gt"]])
    lengths = np.concatenate([outlines["surfel_areas_gt"], outlines["surfel_areas_pred"]])
    return {
        "hd95": float(surface_distance.compute_robust_hausdorff(outlines, 95)),
        "surface_distance": float(np.average(distances, weights=lengths)),
        "surface_dice": float(
            surface_distance.compute_surface_dice_at_tolerance(outlines, tolerance)
        ),
    }
