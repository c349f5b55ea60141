"""Comparison of a model with its yardsticks and with the champion, by the charged Dice."""

from collections.abc import Hashable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unetflow.evaluation.charged import PixelCounts, count_yardsticks, has_counts
from unetflow.evaluation.significance import (
    PairedTest,
    bootstrap_interval,
    compare_paired,
    signed_rank,
    sum_groups,
)
from unetflow.metrics.pixels import CHARGED_DICE

DEFINITION = (
    "score: the charged Dice, which is the mean Dice where all images hold foreground. "
    f"{CHARGED_DICE.formula}. mean_difference: the score of the model minus that of the other; "
    "interval: its 95 % bootstrap confidence interval over whole groups; null for one group. "
    "p_value: two-sided Wilcoxon signed-rank test over images, each of which counts its Dice, or "
    "the negative charge for its false alarm, without equal ones, with mean ranks for ties; null "
    "where fewer than 6 images differ. group_p_value: the same test over the means of the groups, "
    "which are independent even where images of one group are not."
)


def compare_charged(
    first: PixelCounts,
    second: PixelCounts,
    groups: Sequence[Hashable] | None = None,
    seed: int = 0,
) -> PairedTest:
    """Compare the charged Dice of two segmentations of the same images; see `compare_paired`.

    Without images that lack a class this is the comparison of their Dice. With such images the
    charged Dice is no mean over images: groups are resampled, and it is computed of each resample,
    with the charges that images have among all. A resample without foreground has the score 0.

    Raises:
        ValueError: No image holds foreground.
    """
    if not first.classes:
        raise ValueError("no image holds foreground")
    if first.held.all():
        return compare_paired(first.credit, second.credit, groups, seed)
    alone = groups is None
    places = pd.factorize(np.arange(len(first.true)) if groups is None else _as_keys(groups))[0]
    credit = np.round(first.credit - second.credit, 12)
    _, sums, counts = sum_groups(credit, None if alone else list(groups or ()))
    return PairedTest(
        images=len(credit),
        mean_difference=first.charged_dice - second.charged_dice,
        interval=_charged_interval(first, second, places, seed),
        p_value=signed_rank(credit),
        groups=None if alone else len(sums),
        group_p_value=None if alone else signed_rank(np.round(sums / counts, 12)),
    )


def _as_keys(groups: Sequence[Hashable]) -> NDArray[np.object_]:
    keys = np.empty(len(groups), object)
    keys[:] = list(groups)
    return keys


def _charged_interval(
    first: PixelCounts, second: PixelCounts, places: NDArray[np.intp], seed: int
) -> tuple[float, float] | None:
    """Return the interval of the difference of the charged Dice; `places` are those of groups."""
    number = int(places.max()) + 1
    if number < 2:
        return None
    parts = (first.held, first.dice, first.charges, second.dice, second.charges)
    classes = len(first.classes)
    sums = [
        np.bincount(places, weights=part[:, index], minlength=number).astype(np.float64)
        for part in parts
        for index in range(classes)
    ]

    def subtract(*resampled: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        held, dice, charges, other_dice, other_charges = np.sum(resampled, axis=axis).reshape(
            len(parts), classes, *np.sum(resampled[0], axis=axis).shape
        )
        gains = _divide(dice, held + charges) - _divide(other_dice, held + other_charges)
        mean: NDArray[np.float64] = gains.mean(axis=0)
        return mean

    return bootstrap_interval(sums, subtract, seed)


def _divide(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.divide(part, whole, out=np.zeros_like(part), where=whole > 0))


def describe_gain(compared: PairedTest) -> str:
    """Return the difference of two models on the test images in words."""
    gain = f"{compared.mean_difference:+.3f} Dice on {compared.images} test images"
    if compared.interval is not None:
        gain += ", interval {:+.3f} to {:+.3f}".format(*compared.interval)
    return gain


def count_common(tables: Sequence[pd.DataFrame]) -> int:
    """Return how many images all tables have."""
    return len(set.intersection(*(set(table["id"]) for table in tables)))


def compare_tables(tables: Sequence[pd.DataFrame]) -> tuple[str, list[PairedTest]]:
    """Compare all tables of `score_images` with the first one, on the images that all have.

    The charged Dice is compared where all tables count pixels of the same truth, else the Dice.

    Returns:
        What is compared, in words, and a test for each other table; none where there is no image.
    """
    common = set.intersection(*(set(table["id"]) for table in tables))
    ids = [i for i in tables[0]["id"] if i in common]
    aligned = [table.set_index("id").loc[ids].reset_index() for table in tables]
    if all(map(has_counts, aligned)):
        own, *others = map(PixelCounts.of, aligned)
        same = all(np.array_equal(own.true, other.true) for other in others)
        if same and own.classes:
            name = "mean Dice" if own.held.all() else "Dice charged for false alarms"
            return name, [compare_charged(other, own) for other in others]
    dice = pd.concat([table["dice"] for table in aligned], axis="columns").dropna().to_numpy()
    tests = [compare_paired(column, dice[:, 0]) for column in dice.T[1:]] if len(dice) else []
    return "mean Dice", tests


def compare_with_baselines(
    image_scores: pd.DataFrame,
    champion: tuple[str, pd.DataFrame] | None,
    groups: Sequence[Hashable],
    seed: int,
) -> dict[str, Any]:
    """Compare the charged Dice of a model with that of its yardsticks, and of the champion.

    The scores are those of `score_images`. The champion has a name and scores of the same images.
    Where all images hold all classes the charged Dice is the Dice.

    Returns:
        Plain values: `score`, `mean` (of the model), `definition`, and `baselines`, a list with
        `name`, `mean` and the fields of `PairedTest` (the model's score minus the baseline's) of
        each. Where no image holds foreground, `mean` is None and there are no baselines.
    """
    own = PixelCounts.of(image_scores)
    nothing: dict[str, Any] = {
        "score": "charged_dice",
        "mean": None,
        "baselines": [],
        "definition": DEFINITION,
    }
    if not own.classes:
        return nothing
    others = count_yardsticks(image_scores, own)
    if champion is not None:
        name, scores = champion
        aligned = scores.set_index("id").loc[image_scores["id"]].reset_index()
        others[f"previous champion, {name}"] = PixelCounts.of(aligned)
    baselines = [
        {"name": name, "mean": other.charged_dice}
        | asdict(compare_charged(own, other, groups, seed))
        for name, other in others.items()
    ]
    return nothing | {"mean": own.charged_dice, "baselines": baselines}
