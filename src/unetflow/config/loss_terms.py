"""The text that says what training minimises, such as `bce + 0.5*dice`: what it may hold."""

import difflib
import math
import re

from unetflow.core.errors import InputError

LOSS_NAMES = ("bce", "cce", "dice", "focal", "tversky", "lovasz", "cldice")
"""The losses of `unetflow.models.losses`, which cannot be asked without importing Keras."""

Formula = tuple[tuple[float, str], ...]
"""Factors and names, in the order in which they are written."""

_WHERE = "training.loss"
_TERM = re.compile(r"(?:([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*\*\s*)?([A-Za-z_][A-Za-z0-9_]*)")


def parse_formula(text: str) -> Formula:
    """Read a weighted sum of losses; it is never evaluated as code.

    Args:
        text: Terms joined by `+`, each `NAME` or `NUMBER*NAME`. White space may stand anywhere
            between them; numbers are written as in `2` or `0.5`.

    Returns:
        The factor, 1 where none is written, and the name of each term.

    Raises:
        InputError: It is empty, a term cannot be read, a name is unknown or stands twice, or a
            factor is not a positive, finite number.

    Example:
        ```python
        parse_formula("0.5*focal + tversky")  # ((0.5, 'focal'), (1.0, 'tversky'))
        ```
    """
    if not text.strip():
        raise InputError(_WHERE, "it names no loss", "Write one, such as `bce + dice`")
    if "-" in text:
        raise InputError(
            _WHERE, f"'{text}' has a minus sign", "Losses are only added: join them by `+`"
        )
    terms = tuple(_read_term(term.strip()) for term in text.split("+"))
    names = [name for _, name in terms]
    for name in names:
        if names.count(name) > 1:
            raise InputError(
                _WHERE,
                f"the loss '{name}' stands twice",
                "Write it once, with the sum of its factors",
            )
    return terms


def _read_term(term: str) -> tuple[float, str]:
    match = _TERM.fullmatch(term)
    if match is None:
        raise InputError(
            _WHERE,
            f"'{term}' is not a term" if term else "a term is missing beside a `+`",
            "Write each as in `dice` or `0.5*dice`, and join them by `+`",
        )
    number, name = match.groups()
    if name not in LOSS_NAMES:
        raise InputError(_WHERE, f"there is no loss '{name}'", _suggest(name))
    factor = 1.0 if number is None else float(number)
    if factor == 0 or math.isinf(factor):
        raise InputError(
            _WHERE,
            f"the factor of '{name}' is not a positive, finite number",
            "Correct it, or leave the loss out",
        )
    return factor, name


def _suggest(name: str) -> str:
    similar = difflib.get_close_matches(name.lower(), LOSS_NAMES, n=1)
    known = f"Known: {', '.join(LOSS_NAMES)}"
    return f"Did you mean '{similar[0]}'? {known}" if similar else known
