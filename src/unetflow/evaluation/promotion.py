"""Whether there is reason to train again, and whether what comes of it may replace the champion."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from unetflow.core.errors import InputError
from unetflow.evaluation.significance.paired_test import PairedTest, compare_paired

_CONTENT = ["image_sha256", "mask_sha256"]


@dataclass(frozen=True)
class PromotionResult:
    """What a comparison of challenger and champion comes to.

    Attributes:
        promoted: Whether the challenger replaces the champion.
        reason: Why, as a sentence without a full stop.
        comparison: Of the Dice over all images: the challenger's less the champion's.
        falls: By how much the mean Dice of a class or group falls, where that is too much.
    """

    promoted: bool
    reason: str
    comparison: PairedTest
    falls: dict[str, float]


def find_new_pairs(manifest: pd.DataFrame, before: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of images and masks whose bytes were not in another manifest.

    A pair that was merely renamed or moved is not new; one with a corrected mask is.

    Args:
        manifest: With `image_sha256` and `mask_sha256`, of now.
        before: The same of the data that a model was trained and tested with.
    """
    known = set(before[_CONTENT].itertuples(index=False, name=None))
    is_new = [pair not in known for pair in manifest[_CONTENT].itertuples(index=False, name=None)]
    return manifest[is_new]


def keep_test_images(manifest: pd.DataFrame, before: pd.DataFrame) -> None:
    """Make sure that no image which tested the champion is learnt from now.

    Args:
        manifest: With `pixel_digest`, `split` and `image_file`, of now.
        before: The same of the champion's data.

    Raises:
        InputError: There is one; it would make the challenger look better than it is.
    """
    tested = before[before["split"] == "test"]
    learnt = manifest[manifest["split"] != "test"]
    moved = learnt[learnt["pixel_digest"].isin(tested["pixel_digest"])]
    if len(moved):
        row = moved.iloc[0]
        was = tested.loc[tested["pixel_digest"] == row["pixel_digest"], "image_file"].iloc[0]
        others = f", and {len(moved) - 1} more likewise" if len(moved) > 1 else ""
        raise InputError(
            row["image_file"],
            f"its pixels are those of the champion's test image {was}, and the split "
            f"'{row['split']}' would learn from them{others}",
            "Remove the copy, or restore the seed and the split that the champion was tested with",
        )


def find_reason(
    new_pairs: int,
    age_days: float,
    *,
    min_new_labelled: int | None,
    max_age_days: float | None,
) -> str | None:
    """Say why a champion should be trained anew; None where its data and age are no reason.

    Args:
        new_pairs: How many labelled images it has not seen; see `find_new_pairs`.
        age_days: How old it is.
        min_new_labelled: How many of them are a reason; None: no number is.
        max_age_days: The age above which it is too old; None: it never is.
    """
    if min_new_labelled is not None and new_pairs >= min_new_labelled:
        return f"{new_pairs} pairs are new or changed, and {min_new_labelled} are enough"
    if max_age_days is not None and age_days > max_age_days:
        return f"the champion is {age_days:.0f} days old, and {max_age_days:g} are allowed"
    return None


def find_drift(dice: Sequence[float], interval: Sequence[float] | None) -> str | None:
    """Say that a champion is worse on new images than it was when it was tested.

    Args:
        dice: Its Dice on each new image.
        interval: The 95 % interval of its mean Dice when it was tested; None: it had none.

    Returns:
        The reason; None where the mean is within the interval or above.
    """
    if interval is None or not len(dice):
        return None
    mean = float(pd.Series(dice).mean())
    if mean >= interval[0]:
        return None
    return (
        f"the champion's Dice on {len(dice)} new images is {mean:.3f}, below the interval from "
        f"{interval[0]:.3f} to {interval[1]:.3f} that it was tested with"
    )


def evaluate_challenger(
    challenger: pd.DataFrame,
    champion: pd.DataFrame,
    groups: Sequence[Hashable],
    *,
    margin: float,
    largest_fall: float,
    seed: int,
) -> PromotionResult:
    """Decide whether a challenger replaces the champion.

    It does when it is not inferior: the lower end of the 95 % interval of the mean difference of
    the Dice on the same images is above `-margin` (a non-inferiority test, as in Piaggio et al.
    2012, JAMA 308:2594), and no class or group loses more than `largest_fall`. Whole groups are
    drawn for the interval; where all images are of one group, single images are.

    Args:
        challenger: `id`, `dice`, and `dice_<class>` for each of several classes.
        champion: The same, of the same images.
        groups: The group of each of the challenger's images.
        margin: How much worse it may be.
        largest_fall: How much the mean Dice of a class, or of a group of at least two images, may
            fall.
        seed: Of the interval.
    """
    theirs = champion.set_index("id").loc[challenger["id"]].reset_index()
    several = len(set(groups)) > 1
    compared = compare_paired(challenger["dice"], theirs["dice"], groups if several else None, seed)
    columns = [name for name in challenger if name == "dice" or str(name).startswith("dice_")]
    gains = challenger[columns] - theirs[columns]
    means = {
        f"class {str(name).removeprefix('dice_')}": mean
        for name, mean in gains.drop(columns="dice").mean().items()
    }
    by_group = gains["dice"].groupby(np.array(groups, dtype=object))
    means |= {
        f"group {name}": group.mean() for name, group in by_group if several and len(group) > 1
    }
    falls = {name: float(mean) for name, mean in means.items() if mean < -largest_fall}
    gain = f"{compared.mean_difference:+.3f} Dice on {compared.images} test images"
    if compared.interval is None:
        return PromotionResult(
            False, f"one test image cannot tell which is better ({gain})", compared, {}
        )
    low, high = compared.interval
    gain += f", interval {low:+.3f} to {high:+.3f}"
    if low <= -margin:
        reason = f"the challenger may be worse by more than {margin:g}: {gain}"
        return PromotionResult(False, reason, compared, falls)
    if falls:
        worst = min(falls, key=lambda name: falls[name])
        reason = f"{worst} falls by {-falls[worst]:.3f}, and {largest_fall:g} are allowed ({gain})"
        return PromotionResult(False, reason, compared, falls)
    return PromotionResult(True, f"the challenger is not worse: {gain}", compared, {})


def rank_differences(
    challenger: pd.DataFrame, champion: pd.DataFrame, most: int
) -> list[dict[str, object]]:
    """Return `id`, `challenger` and `champion` (Dice) of the images on which they differ most."""
    both = challenger[["id", "dice"]].merge(champion[["id", "dice"]], on="id")
    both.columns = pd.Index(["id", "challenger", "champion"])
    order = (both["challenger"] - both["champion"]).abs().sort_values(ascending=False).index
    rows = both.loc[order].head(most).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]
