"""Instance metrics: detection and segmentation quality of single objects."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unetflow.metrics.class_masks import ClassMasks
from unetflow.metrics.contingency import Contingency, count_overlaps
from unetflow.metrics.definitions import Definition

IOU_PERCENTAGES = tuple(range(50, 100, 5))
"""IoU bounds of a match in percent; above 50 % each object has at most one match."""

_EIGHT_NEIGHBOURS = np.ones((3, 3), bool)
_IGNORED = (
    "pixels with label 255 are taken out of true and found objects before these are counted, "
    "which may part a found one"
)
_OBJECTS = (
    "True objects come from the source, found ones are 8-connected regions of the class; two match "
    "when their IoU is above the bound, so that each has one partner at most"
)
_COUNTS = f"TP are matches, FP found and FN true objects without a match. {_OBJECTS}"
_NOTHING = "1 when there is neither a true nor a found object, 0 when one of both kinds is missing"

DEFINITIONS = {
    "object_count_error": Definition(
        "found objects less true ones. True objects come from the source, found ones are "
        "8-connected regions of the class",
        "what it is anyway: 0 when there are none of both kinds",
        _IGNORED,
    ),
    "dsb_score": Definition(
        "mean of TP / (TP + FP + FN) over IoU above 0.50, 0.55 ... 0.95, the score of the Data "
        f"Science Bowl 2018. {_COUNTS}",
        _NOTHING,
        _IGNORED,
    ),
    "panoptic_quality": Definition(
        "segmentation_quality x recognition_quality (Kirillov et al. 2019, arXiv 1801.00868)",
        _NOTHING,
        _IGNORED,
    ),
    "segmentation_quality": Definition(
        f"mean IoU of the matches at IoU above 0.5. {_OBJECTS}",
        "1 when there is neither a true nor a found object, 0 when there is no match",
        _IGNORED,
    ),
    "recognition_quality": Definition(
        f"TP / (TP + FP / 2 + FN / 2) at IoU above 0.5. {_COUNTS}", _NOTHING, _IGNORED
    ),
    "aggregated_jaccard": Definition(
        "sum of the intersections over the sum of the unions of each true object with the found "
        "one of the highest IoU, the area of found objects that are nobody's added to the unions "
        "(Kumar et al. 2017, doi 10.1109/TMI.2017.2677499); a found one may be that of several",
        _NOTHING,
        _IGNORED,
    ),
    **{
        f"object_{name}_iou{bound}": Definition(
            f"{formula} at IoU above {bound / 100:.2f}. {_COUNTS}", empty, _IGNORED
        )
        for bound in IOU_PERCENTAGES
        for name, formula, empty in (
            (
                "precision",
                "TP / (TP + FP)",
                "when nothing is found, 1 if there is no true object either, else 0",
            ),
            ("recall", "TP / (TP + FN)", "1 when there is no true object"),
            ("f1", "2 TP / (2 TP + FP + FN)", _NOTHING),
        )
    },
}


def score_instances(masks: ClassMasks, instances: NDArray[np.unsignedinteger]) -> dict[str, float]:
    """Return the scores of `DEFINITIONS` for one class in one image.

    Args:
        masks: True and predicted mask.
        instances: `(height, width)`, the number of each pixel's true object; 0 where there is none.
    """
    found, _ = ndimage.label(masks.found, _EIGHT_NEIGHBOURS)
    overlaps = count_overlaps(np.where(masks.true, instances, 0), found)
    true_count, found_count = len(overlaps.true_areas), len(overlaps.found_areas)
    unions = (
        overlaps.true_areas[overlaps.true] + overlaps.found_areas[overlaps.found] - overlaps.pixels
    )
    scores: dict[str, float] = {"object_count_error": float(found_count - true_count)}
    jaccards = []
    for bound in IOU_PERCENTAGES:
        # In integers, so that an IoU of exactly 0.6 is not above 0.6 by rounding.
        matched = 100 * overlaps.pixels > bound * unions
        hits = int(np.count_nonzero(matched))
        scores |= _detection_scores(hits, found_count, true_count, bound)
        jaccards.append(_ratio(hits, true_count + found_count - hits))
    matched = 2 * overlaps.pixels > unions
    hits = int(np.count_nonzero(matched))
    jaccard_sum = float(np.sum(overlaps.pixels[matched] / unions[matched]))
    nothing = true_count + found_count == 0
    quality = 1.0 if nothing else jaccard_sum / max(hits, 1)
    recognition = scores["object_f1_iou50"]
    return scores | {
        "dsb_score": float(np.mean(jaccards)),
        "panoptic_quality": quality * recognition,
        "segmentation_quality": quality,
        "recognition_quality": recognition,
        "aggregated_jaccard": _aggregated_jaccard(overlaps, unions),
    }


def _detection_scores(hits: int, found: int, true: int, bound: int) -> dict[str, float]:
    return {
        f"object_precision_iou{bound}": _ratio(hits, found, empty=float(true == 0)),
        f"object_recall_iou{bound}": _ratio(hits, true),
        f"object_f1_iou{bound}": _ratio(2 * hits, found + true),
    }


def _aggregated_jaccard(overlaps: Contingency, unions: NDArray[np.int64]) -> float:
    # The best partner of each true object comes first; among equals, the first found one.
    order = np.lexsort((overlaps.found, -overlaps.pixels / unions, overlaps.true))
    with_partner, first = np.unique(overlaps.true[order], return_index=True)
    best = order[first]
    alone_true = np.delete(overlaps.true_areas, with_partner).sum()
    alone_found = np.delete(overlaps.found_areas, overlaps.found[best]).sum()
    whole = int(unions[best].sum() + alone_true + alone_found)
    return _ratio(int(overlaps.pixels[best].sum()), whole)


def _ratio(part: int, whole: int, empty: float = 1.0) -> float:
    return part / whole if whole else empty
