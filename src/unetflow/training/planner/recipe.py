"""Loss, class weights and the choice of crops, from how much foreground the data have."""

from typing import Any

from unetflow.config.training import TrainingParameters
from unetflow.data.fingerprint import Fingerprint

RECIPE = ("training.loss", "training.class_weights", "training.foreground_fraction")
"""The parameters that `plan_recipe` chooses where they are None."""

_MANY_EMPTY = 0.2
"""Fraction of empty training images from which finding nothing is a tempting answer."""

_RARE = 0.01
"""Fraction of foreground pixels below which most crops hold next to none."""

_USUAL = {
    "loss": {"bce": 1.0, "dice": 1.0},
    "class_weights": "none",
    "foreground_fraction": 0.0,
}
_SPARSE = {
    "loss": {"bce": 1.0, "present_dice": 1.0},
    "class_weights": "none",
    "foreground_fraction": 0.5,
}


def plan_recipe(
    fingerprint: Fingerprint, training: TrainingParameters
) -> tuple[TrainingParameters, dict[str, str]]:
    """Choose what of `RECIPE` is None.

    Where at least a fifth of the training images hold no foreground, or less than 1 % of the pixels
    are foreground, half of the crops are made to hold some, and the Dice of crops without any is
    left out of the loss: its gradient would drive all probabilities to 0 (see
    `models.loss_terms`). Class weights stay out of it: they would undo the calibration of the
    probabilities, and the Dice already weighs a small foreground as much as a large background.

    Returns:
        The parameters, and a sentence without a full stop for each that was chosen.
    """
    sparse = _say_sparse(fingerprint)
    chosen = _SPARSE if sparse else _USUAL
    names = [place.rpartition(".")[2] for place in RECIPE]
    is_open = [name for name in names if getattr(training, name) is None]
    changes: dict[str, Any] = {name: chosen[name] for name in is_open}
    reasons = _give_reasons(sparse or _say_usual(fingerprint), is_sparse=bool(sparse))
    return training.model_copy(update=changes), {name: reasons[name] for name in is_open}


def _say_sparse(fingerprint: Fingerprint) -> str:
    """Return in words why foreground is sparse; empty where it is not."""
    empty, rare = fingerprint.empty_fraction or 0.0, _foreground(fingerprint)
    found = []
    if empty >= _MANY_EMPTY:
        found.append(f"{_percent(empty)} of the training images hold no foreground")
    if rare < _RARE:
        found.append(f"{_percent(rare)} of the training pixels are foreground")
    return ", and ".join(found)


def _say_usual(fingerprint: Fingerprint) -> str:
    usual = f"{_percent(_foreground(fingerprint))} of the training pixels are foreground"
    if fingerprint.empty_fraction is None:
        return f"{usual}; an earlier version did not count the empty images: ingest again"
    return f"{usual}, and {_percent(fingerprint.empty_fraction)} of the images hold none"


def _give_reasons(facts: str, *, is_sparse: bool) -> dict[str, str]:
    if not is_sparse:
        return {
            "loss": f"the usual sum: {facts}",
            "class_weights": "the Dice balances the classes",
            "foreground_fraction": f"random crops hold enough foreground: {facts}",
        }
    return {
        "loss": f"crops without foreground are left out of the Dice, since {facts}",
        "class_weights": "the Dice balances the classes, also where foreground is rare",
        "foreground_fraction": f"so that half of the crops hold some, since {facts}",
    }


def _foreground(fingerprint: Fingerprint) -> float:
    """Return the fraction of the training pixels that are not of the first class."""
    return sum(list(fingerprint.class_frequencies.values())[1:])


def _percent(part: float) -> str:
    return f"{100 * part:.3g} %"
