"""Which epoch of a training is better: by the charged Dice, then by the validation loss."""

import math
from collections.abc import Mapping

import pandas as pd

EpochRank = tuple[float, float]


def rank_epoch(scores: Mapping[str, float]) -> EpochRank:
    """Return what epochs are compared by; the greater one is better.

    It is the charged Dice (see `metrics.pixels.CHARGED_DICE`), and among equals the lower loss. So
    the loss decides while nothing is found yet, and where no validation image holds foreground.

    Args:
        scores: `val_dice` and `val_loss` of an epoch.
    """
    dice, loss = float(scores["val_dice"]), float(scores["val_loss"])
    return 0.0 if math.isnan(dice) else dice, -math.inf if math.isnan(loss) else -loss


def find_best_epoch(history: pd.DataFrame) -> int:
    """Return the row of the best epoch, the first one among equals; its weights are kept."""
    ranks = [
        rank_epoch({"val_dice": dice, "val_loss": loss})
        for dice, loss in zip(history["val_dice"], history["val_loss"], strict=True)
    ]
    return ranks.index(max(ranks))
