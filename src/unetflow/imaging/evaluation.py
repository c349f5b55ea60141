"""Scores of a segmentation over a set of images."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unetflow.imaging.baselines import segment_by_otsu
from unetflow.imaging.labels import IGNORE, Label
from unetflow.imaging.samples import Sample
from unetflow.imaging.scores import DEFINITIONS, count_confusion, score_label

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
    segment: Segment,
    samples: Mapping[str, Sample],
    classes: Sequence[str],
    *,
    otsu_bright: bool | None,
) -> pd.DataFrame:
    """Score a segmentation on every pixel of every sample, and Otsu's threshold beside it.

    Args:
        segment: Turns an image into a label of its size.
        samples: The samples, opened one at a time.
        classes: The names of the classes, the background first.
        otsu_bright: Whether Otsu's foreground is the brighter side; None leaves Otsu out, which
            tells only two classes apart.

    Returns:
        A row for each sample: `id`, `dice`, `iou`, `precision` and `recall` (see
        `scores.DEFINITIONS`) of the foreground; of more than two classes their means over the
        classes that the image has (see `scores.score_label`), and `dice_<class>` for each class,
        missing where an image has none of it. With Otsu also `otsu_dice`.
    """
    rows = []
    for sample_id, sample in samples.items():
        counted = score_label(sample.label, segment(sample.image), len(classes))
        row: dict[str, Any] = {"id": sample_id}
        for name in DEFINITIONS:
            row[name] = float(np.mean([getattr(c, name) for c in counted.values()]))
        if len(classes) > 2:
            for index, name in enumerate(classes[1:], start=1):
                row[f"dice_{name}"] = counted[index].dice if index in counted else np.nan
        if otsu_bright is not None:
            row["otsu_dice"] = _otsu_dice(sample, bright=otsu_bright)
        rows.append(row)
    return pd.DataFrame(rows)


def summarise_scores(
    image_scores: pd.DataFrame, classes: Sequence[str], threshold: float | None
) -> dict[str, Any]:
    """Sum up the scores of the test images, each number with its definition.

    Args:
        image_scores: As `score_images` makes them.
        classes: The names of the classes, the background first.
        threshold: The foreground's least probability; None where the most probable class counts.

    Returns:
        Plain values: `class` (the foreground's name, or how many there are), `threshold`,
        `test_images` and `scores`, which gives for each score `mean`, `smallest`, `largest` and
        `definition`. A class that is in no test image has no score.
    """
    described = image_scores.drop(columns="id").dropna(axis="columns", how="all")
    return {
        "class": classes[1] if len(classes) == 2 else f"mean of {len(classes) - 1} classes",
        "threshold": threshold,
        "test_images": len(image_scores),
        "scores": {
            name: {
                "mean": float(values.mean()),
                "smallest": float(values.min()),
                "largest": float(values.max()),
                "definition": _define(str(name), classes, threshold),
            }
            for name, values in described.items()
        },
    }


def _define(name: str, classes: Sequence[str], threshold: float | None) -> str:
    """Say how a number of `score_images` was computed."""
    decision = (
        "the most probable class of each pixel"
        if threshold is None
        else f"threshold {threshold:.3f} (chosen on validation images)"
    )
    if name == "otsu_dice":
        what = f"{DEFINITIONS['dice']}; of Otsu's threshold in each image, on the side that is "
        what += "better on the validation images"
    elif name in DEFINITIONS:
        what = DEFINITIONS[name]
    else:
        return (
            f"{DEFINITIONS['dice']}. Taken of class '{name.removeprefix('dice_')}' in whole test "
            f"images at their own size that have the class or are predicted to, at {decision}."
        )
    if len(classes) == 2:
        which = f"class '{classes[1]}' in"
    else:
        which = (
            f"all classes but '{classes[0]}' that an image has or is predicted to, as a mean, in"
        )
    return f"{what}. Taken of {which} whole test images at their own size, at {decision}."


def _otsu_dice(sample: Sample, *, bright: bool) -> float:
    found = segment_by_otsu(sample.image, bright=bright, inside=sample.label != IGNORE)
    return count_confusion(sample.label, found).dice
