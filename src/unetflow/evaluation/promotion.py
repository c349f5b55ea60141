"""Reasons to retrain, and the promotion of a challenger to champion."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, Field

from unetflow.core.errors import InputError
from unetflow.evaluation.charged import PixelCounts, YardstickComparison, count_found
from unetflow.evaluation.comparison import compare_charged, describe_gain
from unetflow.evaluation.significance import PairedTest

_CONTENT = ["image_sha256", "mask_sha256"]
_MOST_SHOWN = 10


class DiceComparison(BaseModel):
    """Dice of challenger and champion, and their difference with its 95 % interval.

    It is charged for false alarms (see `metrics.pixels.CHARGED_DICE`): the mean Dice where all test
    images hold foreground. `challenger` is None where none does.
    """

    challenger: float | None
    champion: float | None = None
    difference: float | None = None
    interval: tuple[float, float] | None = None


class PromotionResult(BaseModel):
    """Outcome of the comparison of a challenger with the champion.

    Attributes:
        decision: "promoted" where the challenger replaces the champion.
        reason: Why, as a sentence without a full stop.
        trained_because: Reason of the retraining.
        champion: Version of the champion; None where there is none.
        dice: Charged Dice of both.
        regressions: Change of the charged Dice of each class or group that loses too much; "falls"
            in JSON.
        most_different: `id` and the Dice of both on the images on which they differ most. In an
            empty image the Dice are None, and `challenger_found` and `champion_found` are the
            numbers of pixels that they find there.
    """

    decision: Literal["promoted", "kept"]
    reason: str
    trained_because: str = ""
    champion: str | None = None
    dice: DiceComparison
    regressions: dict[str, float] = Field(serialization_alias="falls")
    most_different: list[dict[str, Any]]


def find_new_pairs(manifest: pd.DataFrame, before: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of images and masks whose bytes were not in an earlier manifest.

    A pair that was merely renamed or moved is not new; one with a corrected mask is.
    """
    known = set(before[_CONTENT].itertuples(index=False, name=None))
    is_new = [pair not in known for pair in manifest[_CONTENT].itertuples(index=False, name=None)]
    return manifest[is_new]


def keep_test_images(manifest: pd.DataFrame, before: pd.DataFrame) -> None:
    """Check that no test image of the champion's manifest is used for training or validation.

    Raises:
        InputError: There is one; it would make the challenger look better than it is.
    """
    tested = before[before["split"] == "test"]
    learnt = manifest[manifest["split"] != "test"]
    moved = learnt[learnt["pixel_digest"].isin(tested["pixel_digest"])]
    if len(moved):
        row = moved.iloc[0]
        was = tested.loc[tested["pixel_digest"] == row["pixel_digest"], "image_file"].iloc[0]
        others = f", as do {len(moved) - 1} more" if len(moved) > 1 else ""
        raise InputError(
            row["image_file"],
            f"it has the pixels of the champion's test image {was}, but belongs to the split "
            f"'{row['split']}'{others}",
            "Remove the copy, or restore the seed and the split that the champion was tested with",
        )


def find_reason(
    new_pairs: int, age_days: float, *, min_new_labelled: int | None, max_age_days: float | None
) -> str | None:
    """Return the reason to retrain that the number of new pairs or the champion's age gives.

    There is one from `min_new_labelled` pairs on, or above `max_age_days`; None: never.
    """
    if min_new_labelled is not None and new_pairs >= min_new_labelled:
        return f"{new_pairs} pairs are new or changed, and {min_new_labelled} are enough"
    if max_age_days is not None and age_days > max_age_days:
        return f"the champion is {age_days:.0f} days old, and {max_age_days:g} are allowed"
    return None


def find_drift(dice: Sequence[float], interval: Sequence[float] | None) -> str | None:
    """Return the reason to retrain where a champion's Dice on new images is worse than in its test.

    The interval is the 95 % confidence interval of its mean on its test images; None: unknown.
    Images without foreground have no Dice, which is NaN.
    """
    known = pd.Series(dice, dtype=float).dropna()
    mean = float(known.mean())
    if interval is None or not len(known) or mean >= interval[0]:
        return None
    return (
        f"the champion's Dice on {len(known)} new images is {mean:.3f}, below the interval from "
        f"{interval[0]:.3f} to {interval[1]:.3f} of its test images"
    )


def read_interval(metrics: Mapping[str, Any], manifest: pd.DataFrame) -> Sequence[float] | None:
    """Return the interval of a champion's Dice on its test images; None where it is unknown.

    Earlier versions counted empty images, with a Dice of 1 where nothing was found; the interval is
    unknown where they did and the manifest has such test images.
    """
    before = metrics.get("images_with_foreground") is None
    tested = manifest[manifest["split"] == "test"]
    if before and "foreground" in tested and (tested["foreground"] == 0).any():
        return None
    interval: Sequence[float] | None = metrics["scores"].get("dice", {}).get("interval")
    return interval


def evaluate_challenger(
    challenger: pd.DataFrame,
    champion: pd.DataFrame,
    groups: Sequence[Hashable],
    *,
    margin: float,
    max_regression: float,
    seed: int,
) -> PromotionResult:
    """Decide whether a challenger replaces the champion.

    The challenger is promoted when it beats every yardstick (see `YardstickComparison`) and is not
    inferior: the lower end of the 95 % interval of the difference of the charged Dice on the same
    images is above `-margin` (a non-inferiority test, as in Piaggio et al. 2012, JAMA 308:2594),
    and no class or group loses more than `max_regression`. Whole groups are resampled for the
    interval, or single images where there is only one group.

    Args:
        challenger: Its scores; see `score_images`.
        champion: The same, of the same images.
        groups: Group of each of the challenger's images.
        margin: Of non-inferiority, in Dice.
        max_regression: Of the charged Dice of a class, or of a group of at least two images.
        seed: Seed of the interval.
    """
    theirs = champion.set_index("id").loc[challenger["id"]].reset_index()
    shown = rank_differences(challenger, theirs)
    own, other = PixelCounts.of(challenger), PixelCounts.of(theirs)
    obstacle = _find_obstacle(YardstickComparison.of(challenger))
    if not own.classes:
        return PromotionResult(
            decision="kept",
            reason=str(obstacle),
            dice=DiceComparison(challenger=None),
            regressions={},
            most_different=shown,
        )
    several = len(set(groups)) > 1
    compared = compare_charged(own, other, groups if several else None, seed)
    regressions = _find_regressions(own, other, groups if several else [], max_regression)
    if compared.interval is None and not obstacle:  # a single image, whose classes say no more
        regressions = {}
    gain = describe_gain(compared)
    reason = obstacle or _find_inferiority(compared, regressions, margin, max_regression)
    return PromotionResult(
        decision="kept" if reason else "promoted",
        reason=f"{reason} ({gain})" if reason else f"the challenger is not worse: {gain}",
        dice=DiceComparison(
            challenger=own.charged_dice,
            champion=other.charged_dice,
            difference=compared.mean_difference,
            interval=compared.interval,
        ),
        regressions=regressions,
        most_different=shown,
    )


def _find_inferiority(
    compared: PairedTest,
    regressions: Mapping[str, float],
    margin: float,
    max_regression: float,
) -> str | None:
    """Return why a challenger may be inferior to the champion; None where it is not."""
    if compared.interval is None:
        return "one test image is not sufficient for a comparison"
    if compared.interval[0] <= -margin:
        return f"the challenger may be worse by more than {margin:g}"
    if regressions:
        worst = min(regressions, key=lambda name: regressions[name])
        return f"{worst} loses {-regressions[worst]:.3f}, and {max_regression:g} is allowed"
    return None


def promote_first(challenger: pd.DataFrame) -> PromotionResult:
    """Promote a challenger where there is no champion and it beats every yardstick."""
    compared = YardstickComparison.of(challenger)
    obstacle = _find_obstacle(compared)
    return PromotionResult(
        decision="kept" if obstacle else "promoted",
        reason=obstacle or "it is the first model",
        dice=DiceComparison(challenger=compared.own),
        regressions={},
        most_different=rank_differences(challenger, None),
    )


def _find_obstacle(compared: YardstickComparison) -> str | None:
    """Return why a model cannot become the champion whatever it is compared with."""
    if compared.own is None:
        return "no test image holds foreground, so that nothing shows what the model can find"
    if compared.is_better:
        return None
    best = compared.strongest
    return (
        f"the model is no better than {best}: Dice {compared.own:.3f}, and "
        f"{compared.yardsticks[best]:.3f} by {best}"
    )


def _find_regressions(
    challenger: PixelCounts,
    champion: PixelCounts,
    groups: Sequence[Hashable],
    max_regression: float,
) -> dict[str, float]:
    """Return the change of the charged Dice of each class and group that loses too much.

    In a group of empty images alone it is the change of the mean charge. `groups` is empty where
    all images, in the same order in both, are of one group.
    """
    changes = {}
    if len(challenger.classes) > 1:
        for index, name in enumerate(challenger.classes):
            ours, theirs = challenger.of_class(index), champion.of_class(index)
            changes[f"class {name}"] = ours.charged_dice - theirs.charged_dice
    rows: dict[Hashable, list[int]] = {}
    for place, group in enumerate(groups):
        rows.setdefault(group, []).append(place)
    for group, places in rows.items():
        if len(places) > 1:
            gain = challenger.mean_credit(places) - champion.mean_credit(places)
            changes[f"group {group}"] = gain
    return {name: float(change) for name, change in changes.items() if change < -max_regression}


def rank_differences(
    challenger: pd.DataFrame, champion: pd.DataFrame | None
) -> list[dict[str, Any]]:
    """Return `PromotionResult.most_different` of two tables of the same images in the same order.

    Without a champion, these are the worst images of the challenger. Empty images in which neither
    finds anything are there only if there are no others.
    """
    tables = {"challenger": challenger} | ({} if champion is None else {"champion": champion})
    found = {f"{name}_found": count_found(table) for name, table in tables.items()}
    credits = [PixelCounts.of(table).credit for table in tables.values()]
    by = -credits[0] if champion is None else np.abs(credits[0] - credits[1])
    rows: list[dict[str, Any]] = []
    quiet: list[dict[str, Any]] = []
    for place in np.argsort(-by, kind="stable"):
        row: dict[str, Any] = {"id": str(challenger["id"].iloc[place])}
        for name, table in tables.items():
            dice = table["dice"].iloc[place]
            row[name] = None if np.isnan(dice) else float(dice)
        if row["challenger"] is None:
            alarms = {name: int(pixels[place]) for name, pixels in found.items()}
            row |= alarms
            if not any(alarms.values()):
                quiet.append(row)
                continue
        rows.append(row)
    return (rows or quiet)[:_MOST_SHOWN]


def describe_difference(row: Mapping[str, Any], *, compared: bool) -> str:
    """Return the title of an image of `rank_differences`, with the champion where `compared`."""
    is_empty = row["challenger"] is None
    names = [f"{name}_found" if is_empty else name for name in ("champion", "challenger")]
    shown = [row[name] for name in names[not compared :]]
    numbers = " -> ".join(f"{n:,}" if is_empty else f"{n:.3f}" for n in shown)
    return (
        f"{row['id']}: empty, finds {numbers} pixels"
        if is_empty
        else f"{row['id']}: Dice {numbers}"
    )
