"""Baselines of a network: methods without learning, and the previous champion."""

from collections.abc import Hashable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from skimage.filters import threshold_otsu

from unetflow.evaluation.significance import DEFINITION, compare_paired


def segment_by_otsu(
    image: NDArray[np.generic], *, bright: bool, inside: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_]:
    """Split an image at Otsu's threshold (Otsu 1979) of its mean over the channels.

    Args:
        image: `(height, width, channels)`.
        bright: Whether the foreground is the brighter side.
        inside: `(height, width)`, the pixels that the threshold is computed from; None: all.

    Returns:
        `(height, width)`, true for the foreground. A constant image has none.
    """
    grey = image.mean(axis=2)
    values = grey if inside is None else grey[inside]
    if not values.size or values.min() == values.max():
        return np.zeros(grey.shape, bool)
    above: NDArray[np.bool_] = grey > threshold_otsu(values)
    return above if bright else ~above


def compare_with_baselines(
    image_scores: pd.DataFrame,
    champion: tuple[str, pd.DataFrame] | None,
    groups: Sequence[Hashable],
    seed: int,
) -> dict[str, Any]:
    """Compare the Dice of a model with that of an empty mask, of Otsu, and of the champion.

    Args:
        image_scores: `id`, `dice`, `background_dice` and, for two classes, `otsu_dice` of each
            test image; see `evaluation.scoring.score_images`.
        champion: Name of the previous champion, and its scores of the same images; None where
            there is none.
        groups: Group of each image, in the same order.
        seed: Seed of the intervals.

    Returns:
        Plain values: `score`, `mean`, `definition`, and `baselines`, a list with `name`, `mean`
        and the fields of `PairedTest` (the model's Dice minus the baseline's) of each.
    """
    others = {"finding nothing": image_scores["background_dice"]}
    if "otsu_dice" in image_scores:
        others["Otsu's threshold"] = image_scores["otsu_dice"]
    if champion is not None:
        name, scores = champion
        theirs = scores.set_index("id")["dice"].reindex(image_scores["id"])
        others[f"previous champion, {name}"] = theirs.reset_index(drop=True)
    return {
        "score": "dice",
        "mean": float(image_scores["dice"].mean()),
        "baselines": [
            {
                "name": name,
                "mean": float(dice.mean()),
                **asdict(compare_paired(image_scores["dice"], dice, groups, seed)),
            }
            for name, dice in others.items()
        ],
        "definition": DEFINITION,
    }
