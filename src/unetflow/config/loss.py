"""The parameter `training.loss`: the factor of each loss that training minimises."""

import difflib
import math
import re
from collections.abc import Mapping
from typing import Any

from unetflow.core.errors import InputError

LOSS_NAMES = ("bce", "cce", "dice", "present_dice", "focal", "tversky", "lovasz", "cldice")
"""The losses of `unetflow.models.loss_terms`, which cannot be listed without importing Keras."""

_WHERE = "training.loss"
_TERM = re.compile(r"(?:([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*\*\s*)?([A-Za-z_][A-Za-z0-9_]*)")


def read_open_loss(value: Any) -> dict[str, float] | None:
    """Read a loss as `read_loss` does; None is planned."""
    return None if value is None else read_loss(value)


def read_loss(value: Any) -> dict[str, float]:
    """Read a weighted sum of losses.

    Args:
        value: A factor for each name, 0 leaves one out; or a text such as "0.5*focal + tversky",
            which is never evaluated as code.

    Returns:
        The factor of each loss, in the order in which they are added.

    Raises:
        InputError: No loss is left, a name is unknown, a factor is negative or not finite, or the
            text cannot be read.
    """
    given = _read_text(value) if isinstance(value, str) else value
    if not isinstance(given, Mapping):
        raise InputError(_WHERE, f"{value!r} is not allowed", "Write it as `{bce: 1, dice: 1}`")
    for name, factor in given.items():
        if name not in LOSS_NAMES:
            raise InputError(_WHERE, f"there is no loss '{name}'", _suggest(str(name)))
        is_number = isinstance(factor, int | float) and not isinstance(factor, bool)
        if not (is_number and 0 <= factor < math.inf):
            raise InputError(
                _WHERE,
                f"the factor of '{name}' is not a positive, finite number",
                "Correct it, or set it to 0 to leave the loss out",
            )
    loss = {name: float(factor) for name, factor in given.items() if factor}
    if not loss:
        raise InputError(_WHERE, "it names no loss", "Write some, such as `{bce: 1, dice: 1}`")
    return loss


def _read_text(text: str) -> dict[str, float]:
    loss: dict[str, float] = {}
    for term in text.split("+") if text.strip() else ():
        match = _TERM.fullmatch(term.strip())
        if match is None:
            raise InputError(
                _WHERE,
                f"'{term.strip()}' is not a term of '{text}'",
                "Write each as in `dice` or `0.5*dice`, and join them by `+`",
            )
        number, name = match.groups()
        if name in loss:
            raise InputError(
                _WHERE,
                f"the loss '{name}' stands twice",
                "Write it once, with the sum of its factors",
            )
        loss[name] = 1.0 if number is None else float(number)
    return loss


def _suggest(name: str) -> str:
    similar = difflib.get_close_matches(name.lower(), LOSS_NAMES, n=1)
    known = f"Known: {', '.join(LOSS_NAMES)}"
    return f"Did you mean '{similar[0]}'? {known}" if similar else known
