"""Scores of a segmentation over a set of images."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unetflow.imaging.baselines import segment_by_otsu
from unetflow.imaging.labels import IGNORE, Label
from unetflow.imaging.samples import Sample
from unetflow.imaging.scores import DEFINITIONS, count_confusion

Segment = Callable[[NDArray[np.generic]], Label]


def choose_otsu_side(samples: Mapping[str, Sample]) -> bool:
    """Tell whether the foreground is the brighter side of Otsu's threshold.

    Args:
        samples: Validation samples, opened one at a time.

    Returns:
        True when the brighter side has the higher mean Dice.
    """
    means = [
        np.mean([_otsu_dice(sample, bright=bright) for sample in samples.values()])
        for bright in (True, False)
    ]
    return bool(means[0] >= means[1])


def score_images(
    segment: Segment, samples: Mapping[str, Sample], *, otsu_bright: bool
) -> pd.DataFrame:
    """Score a segmentation on every pixel of every sample, and Otsu's threshold beside it.

    Args:
        segment: Turns an image into a label of its size.
        samples: The samples, opened one at a time.
        otsu_bright: Whether Otsu's foreground is the brighter side.

    Returns:
        A row for each sample: `id`, `dice`, `iou`, `precision`, `recall` of class 1 (see
        `scores.DEFINITIONS`) and `otsu_dice`.
    """
    rows = []
    for sample_id, sample in samples.items():
        confusion = count_confusion(sample.label, segment(sample.image) == 1)
        rows.append(
            {
                "id": sample_id,
                **{name: getattr(confusion, name) for name in DEFINITIONS},
                "otsu_dice": _otsu_dice(sample, bright=otsu_bright),
            }
        )
    return pd.DataFrame(rows)


def summarise_scores(
    image_scores: pd.DataFrame, class_name: str, threshold: float
) -> dict[str, Any]:
    """Sum up the scores of the test images, each number with its definition.

    Args:
        image_scores: As `score_images` makes them.
        class_name: The foreground's name.
        threshold: The foreground's least probability.

    Returns:
        Plain values: `class`, `threshold`, `test_images` and `scores`, which gives for each score
        `mean`, `smallest`, `largest` and `definition`.
    """
    definitions = {
        **DEFINITIONS,
        "otsu_dice": f"{DEFINITIONS['dice']}; of Otsu's threshold in each image, on the side that "
        "is better on the validation images",
    }
    return {
        "class": class_name,
        "threshold": threshold,
        "test_images": len(image_scores),
        "scores": {
            name: {
                "mean": float(image_scores[name].mean()),
                "smallest": float(image_scores[name].min()),
                "largest": float(image_scores[name].max()),
                "definition": f"{definition}. Taken of class '{class_name}' in whole test images "
                f"at their own size, at threshold {threshold:.3f} (chosen on validation images).",
            }
            for name, definition in definitions.items()
        },
    }


def _otsu_dice(sample: Sample, *, bright: bool) -> float:
    found = segment_by_otsu(sample.image, bright=bright, inside=sample.label != IGNORE)
    return count_confusion(sample.label, found).dice
