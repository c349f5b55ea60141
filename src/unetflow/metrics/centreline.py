"""Centreline metrics for thin structures: vessels, cracks, membranes."""

import numpy as np
from skimage.morphology import skeletonize

from unetflow.metrics.class_masks import ClassMasks, Mask
from unetflow.metrics.definitions import Definition

_IGNORED = "pixels with label 255 are taken out of truth and prediction before they are thinned"
_THINNED = "Centrelines are skeletons after Zhang and Suen (1984)"

DEFINITIONS = {
    "cldice": Definition(
        "harmonic mean of centreline_precision and centreline_recall, the centreline Dice of Shit "
        f"et al. (2021, arXiv 2003.07311). {_THINNED}",
        "1 when truth and prediction are both empty, 0 when one of them is",
        _IGNORED,
    ),
    "centreline_precision": Definition(
        f"share of the found centreline that lies inside the truth. {_THINNED}",
        "1 when truth and prediction are both empty, 0 when one of them is",
        _IGNORED,
    ),
    "centreline_recall": Definition(
        f"share of the true centreline that lies inside what was found. {_THINNED}",
        "1 when truth and prediction are both empty, 0 when one of them is",
        _IGNORED,
    ),
}


def score_centreline(masks: ClassMasks) -> dict[str, float]:
    """Return the scores of `DEFINITIONS` for one class in one image."""
    if not masks.true.any() or not masks.found.any():
        equal = float(not masks.true.any() and not masks.found.any())
        return dict.fromkeys(DEFINITIONS, equal)
    box = masks.crop()
    precision = _share_inside(skeletonize(box.found), box.true)
    recall = _share_inside(skeletonize(box.true), box.found)
    both = precision + recall
    return {
        "cldice": 2 * precision * recall / both if both else 0.0,
        "centreline_precision": precision,
        "centreline_recall": recall,
    }


def _share_inside(line: Mask, mask: Mask) -> float:
    return int(np.count_nonzero(line & mask)) / int(np.count_nonzero(line))
