"""Metrics of regions: single objects, and the pieces that boundaries such as membranes part."""

import math
from dataclasses import dataclass

import numpy as np
import scipy
import skimage as ski
from numpy.typing import NDArray

from unetflow.metrics.shared import ClassMasks, Definition, define, ratio

IOU_PERCENTAGES = tuple(range(50, 100, 5))
"""IoU bounds of a match in percent; above 50 % each object has at most one match."""

_EIGHT_NEIGHBOURS = np.ones((3, 3), bool)
_OBJECTS = (
    "True objects come from the source, found ones are those that the model separates, or else "
    "8-connected regions of the class; two match when their IoU is above the bound, so that each "
    "has one partner at most"
)
_COUNTS = f"TP are matches, FP found and FN true objects without a match. {_OBJECTS}"
_ABSENT = "left out in an image without a true object"
_NOTHING = f"0 when nothing is found; {_ABSENT}"
_DETECTION = {
    "precision": (
        "TP / (TP + FP)",
        _NOTHING,
    ),
    "recall": ("TP / (TP + FN)", _ABSENT),
    "f1": ("2 TP / (2 TP + FP + FN)", _NOTHING),
}

INSTANCES = define(
    "pixels with label 255 are taken out of true and found objects before these are counted",
    {
        "object_count_error": (
            "found objects less true ones. True objects come from the source, found ones are those "
            "that the model separates, or else 8-connected regions of the class",
            "what it is anyway: 0 when there are none of both kinds",
        ),
        "dsb_score": (
            "mean of TP / (TP + FP + FN) over IoU above 0.50, 0.55 ... 0.95, the score of the Data "
            f"Science Bowl 2018. {_COUNTS}",
            _NOTHING,
        ),
        "panoptic_quality": (
            "segmentation_quality x recognition_quality (Kirillov et al. 2019, arXiv 1801.00868)",
            _NOTHING,
        ),
        "segmentation_quality": (
            f"mean IoU of the matches at IoU above 0.5. {_OBJECTS}",
            f"0 when there is no match; {_ABSENT}",
        ),
        "recognition_quality": (
            f"TP / (TP + FP / 2 + FN / 2) at IoU above 0.5. {_COUNTS}",
            _NOTHING,
        ),
        "aggregated_jaccard": (
            "sum of the intersections over the sum of the unions of each true object with the "
            "found one of the highest IoU, the area of found objects that are nobody's added to "
            "the unions (Kumar et al. 2017, doi 10.1109/TMI.2017.2677499); a found one may be that "
            "of several",
            _NOTHING,
        ),
        **{
            f"object_{name}_iou{bound}": (
                f"{formula} at IoU above {bound / 100:.2f}. {_COUNTS}",
                empty,
            )
            for bound in IOU_PERCENTAGES
            for name, (formula, empty) in _DETECTION.items()
        },
    },
)

_PIECES = (
    "Pieces are what the class parts: 4-connected regions without it; pixels of the class in the "
    "truth are not counted, and each found one goes to the nearest found piece. After "
    "Arganda-Carreras et al. (2015, doi 10.3389/fnana.2015.00142), who thin borders otherwise"
)
_EMPTY = "1 when no pixel of a true piece is counted, 0 when there is one but no found piece"

MEMBRANES = define(
    "pixels with label 255 part pieces in truth and prediction alike, and are not counted",
    {
        "v_rand": (
            "sum p_ij^2 / (sum s_i^2 / 2 + sum t_j^2 / 2), the foreground-restricted Rand score "
            "with alpha 0.5; p_ij, s_i and t_j are the shares of the pixels in found piece i and "
            f"true piece j, in i and in j. {_PIECES}",
            _EMPTY,
        ),
        "v_info": (
            "2 I(S, T) / (H(S) + H(T)), the foreground-restricted information score with alpha "
            "0.5: the mutual information of found and true pieces over the mean of their "
            f"entropies. {_PIECES}",
            f"{_EMPTY}; 1 when truth and prediction are one piece each, and 0 when only one of "
            "them is",
        ),
    },
) | {
    "pixel_error": Definition(
        "(FP + FN) / (TP + FP + FN + TN), the share of the pixels that are wrong",
        "0 when no pixel is counted",
        "pixels with label 255 are not counted",
    )
}


@dataclass(frozen=True)
class Contingency:
    """Areas and overlaps of two sets of objects, in pixels.

    Attributes:
        true_areas: `(true objects,)`.
        found_areas: `(found objects,)`.
        true: `(overlaps,)`, index into `true_areas` for each pair that shares pixels.
        found: `(overlaps,)`, index into `found_areas`.
        pixels: `(overlaps,)`, number of shared pixels.
    """

    true_areas: NDArray[np.int64]
    found_areas: NDArray[np.int64]
    true: NDArray[np.int64]
    found: NDArray[np.int64]
    pixels: NDArray[np.int64]


def count_overlaps(true: NDArray[np.integer], found: NDArray[np.integer]) -> Contingency:
    """Count the overlaps of all pairs of objects, in ascending order of their numbers.

    Args:
        true: `(height, width)`, the number of each pixel's object; 0 where there is none. Numbers
            need not be consecutive.
        found: Likewise, the same shape.
    """
    table = ski.metrics.contingency_table(
        ski.segmentation.relabel_sequential(true)[0],
        ski.segmentation.relabel_sequential(found)[0],
        sparse_type="array",
    ).astype(np.int64)
    overlaps = table[1:, 1:].tocoo()
    order = np.lexsort((overlaps.col, overlaps.row))
    return Contingency(
        true_areas=table.sum(axis=1)[1:],
        found_areas=table.sum(axis=0)[1:],
        true=overlaps.row[order].astype(np.int64),
        found=overlaps.col[order].astype(np.int64),
        pixels=overlaps.data[order],
    )


def select_objects(
    masks: ClassMasks,
    instances: NDArray[np.unsignedinteger],
    found_objects: NDArray[np.unsignedinteger] | None = None,
) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Return the numbers of the true and of the found objects of a class, each `(height, width)`.

    See `score_instances` for the arguments.
    """
    if found_objects is None:
        found, _ = scipy.ndimage.label(masks.found, _EIGHT_NEIGHBOURS)
    else:
        found = np.where(masks.found, found_objects, 0)
    return np.where(masks.true, instances, 0), found


def score_instances(
    masks: ClassMasks,
    instances: NDArray[np.unsignedinteger],
    found_objects: NDArray[np.unsignedinteger] | None = None,
) -> dict[str, float]:
    """Return the scores of `INSTANCES`.

    Args:
        masks: The class in truth and prediction.
        instances: `(height, width)`, the number of each pixel's true object; 0 for none.
        found_objects: Likewise of each pixel's found object; None: they are connected regions.
    """
    overlaps = count_overlaps(*select_objects(masks, instances, found_objects))
    true_count, found_count = len(overlaps.true_areas), len(overlaps.found_areas)
    unions = (
        overlaps.true_areas[overlaps.true] + overlaps.found_areas[overlaps.found] - overlaps.pixels
    )
    scores: dict[str, float] = {"object_count_error": float(found_count - true_count)}
    if not true_count:
        return dict.fromkeys(INSTANCES, math.nan) | scores
    jaccards = []
    for bound in IOU_PERCENTAGES:
        # In integers, so that an IoU of exactly 0.6 is not above 0.6 by rounding.
        hits = int(np.count_nonzero(100 * overlaps.pixels > bound * unions))
        scores |= {
            f"object_precision_iou{bound}": ratio(hits, found_count, 0.0),
            f"object_recall_iou{bound}": ratio(hits, true_count),
            f"object_f1_iou{bound}": ratio(2 * hits, found_count + true_count),
        }
        jaccards.append(ratio(hits, true_count + found_count - hits))
    matched = 2 * overlaps.pixels > unions
    jaccard_sum = float(np.sum(overlaps.pixels[matched] / unions[matched]))
    quality = jaccard_sum / max(int(np.count_nonzero(matched)), 1)
    recognition = scores["object_f1_iou50"]
    return scores | {
        "dsb_score": float(np.mean(jaccards)),
        "panoptic_quality": quality * recognition,
        "segmentation_quality": quality,
        "recognition_quality": recognition,
        "aggregated_jaccard": _aggregated_jaccard(overlaps, unions),
    }


def mean_f1(true: NDArray[np.integer], found: NDArray[np.integer]) -> float:
    """Return the mean F1 of two sets of objects over IoU above 0.50, 0.55 ... 0.95.

    It is 1 when there is no object in either. Both are `(height, width)`, the number of each
    pixel's object; 0 where there is none.
    """
    overlaps = count_overlaps(true, found)
    areas = overlaps.true_areas[overlaps.true] + overlaps.found_areas[overlaps.found]
    unions = areas - overlaps.pixels
    both = len(overlaps.true_areas) + len(overlaps.found_areas)
    hits = [np.count_nonzero(100 * overlaps.pixels > bound * unions) for bound in IOU_PERCENTAGES]
    return float(np.mean([ratio(2 * int(count), both) for count in hits]))


def _aggregated_jaccard(overlaps: Contingency, unions: NDArray[np.int64]) -> float:
    # The best partner of each true object comes first; among equals, the first found one.
    order = np.lexsort((overlaps.found, -overlaps.pixels / unions, overlaps.true))
    with_partner, first = np.unique(overlaps.true[order], return_index=True)
    best = order[first]
    alone_true = np.delete(overlaps.true_areas, with_partner).sum()
    alone_found = np.delete(overlaps.found_areas, overlaps.found[best]).sum()
    whole = int(unions[best].sum() + alone_true + alone_found)
    return ratio(int(overlaps.pixels[best].sum()), whole)


def score_membranes(masks: ClassMasks) -> dict[str, float]:
    """Return the scores of `MEMBRANES` for the class of the boundaries."""
    wrong = int(np.count_nonzero(masks.true != masks.found))
    error = wrong / max(int(np.count_nonzero(masks.counted)), 1)
    true, _ = scipy.ndimage.label(masks.counted & ~masks.true)
    found, _ = scipy.ndimage.label(masks.counted & ~masks.found)
    if not true.any() or not found.any():
        equal = float(not true.any())
        return {"v_rand": equal, "v_info": equal, "pixel_error": error}
    grown = ski.segmentation.expand_labels(found, distance=sum(found.shape))
    overlaps = count_overlaps(true, np.where(true > 0, grown, 0))
    return {
        "v_rand": rand_score(overlaps),
        "v_info": information_score(overlaps),
        "pixel_error": error,
    }


def rand_score(overlaps: Contingency) -> float:
    """Return the Rand score of two segmentations of the same pixels; see `MEMBRANES`."""
    together, true, found = (
        float(np.sum(areas.astype(float) ** 2))
        for areas in (overlaps.pixels, overlaps.true_areas, overlaps.found_areas)
    )
    return 2 * together / (true + found)


def information_score(overlaps: Contingency) -> float:
    """Return the information score of two segmentations of the same pixels; see `MEMBRANES`."""
    both, true, found = (
        _entropy(pixels) for pixels in (overlaps.pixels, overlaps.true_areas, overlaps.found_areas)
    )
    if true + found == 0:
        return 1.0
    # Rounding may exceed the bounds a little.
    return float(np.clip(2 * (true + found - both) / (true + found), 0, 1))


def _entropy(pixels: NDArray[np.int64]) -> float:
    shares = pixels[pixels > 0] / pixels.sum()
    return float(-np.sum(shares * np.log(shares)))
