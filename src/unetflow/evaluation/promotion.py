"""Reasons to retrain, and the promotion of a challenger to champion."""

from collections.abc import Hashable, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, Field

from unetflow.core.errors import InputError
from unetflow.evaluation.significance import compare_paired

_CONTENT = ["image_sha256", "mask_sha256"]
_MOST_SHOWN = 10


class DiceComparison(BaseModel):
    """Mean Dice of challenger and champion, and their difference with its 95 % interval."""

    challenger: float
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
        dice: Mean Dice of both.
        regressions: Change of the mean Dice of each class or group that loses too much; "falls" in
            JSON.
        most_different: `id` and the Dice of both on the images on which they differ most.
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
    """
    mean = float(pd.Series(dice, dtype=float).mean())
    if interval is None or not len(dice) or mean >= interval[0]:
        return None
    return (
        f"the champion's Dice on {len(dice)} new images is {mean:.3f}, below the interval from "
        f"{interval[0]:.3f} to {interval[1]:.3f} of its test images"
    )


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

    The challenger is promoted when it is not inferior: the lower end of the 95 % interval of the
    mean difference of the Dice on the same images is above `-margin` (a non-inferiority test, as
    in Piaggio et al. 2012, JAMA 308:2594), and no class or group loses more than `max_regression`.
    Whole groups are resampled for the interval, or single images where there is only one group.

    Args:
        challenger: `id`, `dice`, and `dice_<class>` for each of several classes.
        champion: The same, of the same images.
        groups: Group of each of the challenger's images.
        margin: Of non-inferiority, in Dice.
        max_regression: Of the mean Dice of a class, or of a group of at least two images.
        seed: Seed of the interval.
    """
    theirs = champion.set_index("id").loc[challenger["id"]].reset_index()
    several = len(set(groups)) > 1
    compared = compare_paired(challenger["dice"], theirs["dice"], groups if several else None, seed)
    regressions = _find_regressions(challenger, theirs, groups if several else [], max_regression)
    promoted, gain = False, f"{compared.mean_difference:+.3f} Dice on {compared.images} test images"
    if compared.interval is None:
        reason, regressions = f"one test image is not sufficient for a comparison ({gain})", {}
    else:
        low, high = compared.interval
        gain += f", interval {low:+.3f} to {high:+.3f}"
        if low <= -margin:
            reason = f"the challenger may be worse by more than {margin:g}: {gain}"
        elif regressions:
            worst = min(regressions, key=lambda name: regressions[name])
            reason = (
                f"{worst} loses {-regressions[worst]:.3f}, and {max_regression:g} is allowed "
                f"({gain})"
            )
        else:
            promoted, reason = True, f"the challenger is not worse: {gain}"
    return PromotionResult(
        decision="promoted" if promoted else "kept",
        reason=reason,
        dice=DiceComparison(
            challenger=float(challenger["dice"].mean()),
            champion=float(champion["dice"].mean()),
            difference=compared.mean_difference,
            interval=compared.interval,
        ),
        regressions=regressions,
        most_different=_rank_differences(challenger, champion),
    )


def promote_first(challenger: pd.DataFrame) -> PromotionResult:
    """Promote a challenger where there is no champion; see `evaluate_challenger`."""
    worst = challenger[["id", "dice"]].nsmallest(_MOST_SHOWN, "dice")
    return PromotionResult(
        decision="promoted",
        reason="it is the first model",
        dice=DiceComparison(challenger=float(challenger["dice"].mean())),
        regressions={},
        most_different=_records(worst.rename(columns={"dice": "challenger"})),
    )


def _find_regressions(
    challenger: pd.DataFrame,
    champion: pd.DataFrame,
    groups: Sequence[Hashable],
    max_regression: float,
) -> dict[str, float]:
    """Return the change of the mean Dice of each class and group that loses too much.

    `groups` is empty where all images, in the same order in both, are of one group.
    """
    columns = [name for name in challenger if name == "dice" or str(name).startswith("dice_")]
    gains = challenger[columns] - champion[columns]
    by_class = gains.drop(columns="dice").mean()
    means = {f"class {str(name).removeprefix('dice_')}": by_class[name] for name in by_class.index}
    if groups:
        by_group = gains["dice"].groupby(np.array(groups, dtype=object))
        means |= {f"group {name}": group.mean() for name, group in by_group if len(group) > 1}
    return {name: float(mean) for name, mean in means.items() if mean < -max_regression}


def _rank_differences(challenger: pd.DataFrame, champion: pd.DataFrame) -> list[dict[str, Any]]:
    """Return `PromotionResult.most_different`."""
    both = challenger[["id", "dice"]].merge(champion[["id", "dice"]], on="id")
    both.columns = pd.Index(["id", "challenger", "champion"])
    order = (both["challenger"] - both["champion"]).abs().sort_values(ascending=False).index
    return _records(both.loc[order].head(_MOST_SHOWN))


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): v for name, v in row.items()} for row in table.to_dict("records")]
