"""What an evaluation says about the training and its data: curve, steps, budget and sets apart."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

_CLEAR_JUMP = 0.2  # of the validation Dice below the best one before it
_CLEAR_RISE = 0.02  # of the best validation Dice in the last quarter of the epochs
_FEWEST_STEPS = 1000  # with which a network has usually learned what it can; see the planner
_FEW_TESTED, _MANY_IMAGES = 20, 100
_NARROW = 0.1  # interval of the mean Dice, which needs no more test images


@dataclass(frozen=True)
class Curve:
    """The validation Dice over the epochs.

    Attributes:
        is_rising: Whether one of the last epochs is the best, clearly above those before them.
        jump: In the second half of the training, the best Dice and the lowest one after it, where
            these are far apart: validation has not settled. None where it has.
        epochs: Number of epochs in that half.
    """

    is_rising: bool
    jump: tuple[float, float] | None
    epochs: int


@dataclass(frozen=True)
class TrainingAdvice:
    """What the report's advice asks of a training.

    Attributes:
        curve: See `read_curve`.
        steps: Number of steps of the whole training; None if unknown.
        is_short: Whether there were fewer steps than usual.
        longer: The parameter that is set and makes the training longer, with its value.
        cross_validate: Whether there are too few test images, and no more can be had by a larger
            test split.
        few_tested: Whether there are few test images, whose mean score is uncertain.
    """

    curve: Curve
    steps: int | None
    is_short: bool
    longer: str
    few_tested: bool
    cross_validate: bool


def advise_training(
    history: pd.DataFrame,
    samples: Mapping[str, int],
    interval: tuple[float, float] | None,
    planned: Mapping[str, Any],
    given: Mapping[str, Any],
) -> TrainingAdvice:
    """Read what the advice depends on.

    Args:
        history: A row for each epoch with `val_dice`.
        samples: Number of images by split.
        interval: 95 % interval of the mean Dice of the test images.
        planned: The parameters of the training with nothing left open.
        given: All parameters as given, nested.
    """
    steps = count_steps(planned, samples.get("train", 0), len(history))
    few = samples.get("test", 0) < _FEW_TESTED
    is_certain = interval is not None and interval[1] - interval[0] <= _NARROW
    return TrainingAdvice(
        curve=read_curve(history["val_dice"].to_numpy(float)),
        steps=steps,
        is_short=steps is not None and steps < _FEWEST_STEPS,
        longer=name_length(planned, given, len(history)),
        few_tested=few and not is_certain,
        cross_validate=sum(samples.values()) < _MANY_IMAGES,
    )


def read_curve(dice: np.ndarray[Any, np.dtype[np.float64]]) -> Curve:
    """Describe the validation Dice of each epoch, NaN where it is undefined."""
    known = np.nan_to_num(dice, nan=0.0)
    count = len(known)
    last = max(1, count // 4)
    before = known[:-last].max(initial=0.0)
    is_rising = count > 1 and known.argmax() >= count - last and known.max() - before > _CLEAR_RISE
    falls = np.maximum.accumulate(known) - known
    half = count // 2
    worst = half + int(falls[half:].argmax())
    jump = None
    if count > 3 and falls[worst] > _CLEAR_JUMP:
        jump = float(known[: worst + 1].max()), float(known[worst])
    return Curve(bool(is_rising), jump, count - half)


def count_steps(planned: Mapping[str, Any], images: int, epochs: int) -> int | None:
    """Return the number of steps of a training; None where its parameters are unknown."""
    crops, batch = planned.get("crops_per_image"), planned.get("batch_size")
    if not crops or not batch:
        return None
    each = -(-images * crops // batch)
    return int(epochs * min(each, planned.get("steps_per_epoch") or each))


def name_length(planned: Mapping[str, Any], given: Mapping[str, Any], epochs: int) -> str:
    """Return the parameter that ends the training, with its value: the one that helps if raised.

    Under `planned`, which leaves the epochs open, it is the budget. A time limit ends a training
    whose epochs are not all there.
    """
    training, budget = given.get("training", {}), given.get("budget") or {}
    if training.get("epochs") is None:
        return _with_value("budget.minutes", budget.get("minutes"))
    is_cut = epochs < (planned.get("epochs") or epochs)
    if is_cut and training.get("minutes") is not None:
        return _with_value("training.minutes", training["minutes"])
    return _with_value("training.epochs", training["epochs"])


def _with_value(name: str, value: float | None) -> str:
    return name if value is None else f"{name}: {value:g}"
