"""What the numbers in a mask mean: mask values to class indices."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unetflow.imaging.errors import InputError

IGNORE = 255
"""The label of pixels that count neither in training nor in a score."""

Label = NDArray[np.uint8]

_LARGEST_TABLE = 65535


@dataclass(frozen=True)
class LabelClass:
    """A class and the mask values that stand for it.

    Attributes:
        name: The class's name, for people.
        values: The mask values that mean it; None: every value that no other class names.
    """

    name: str
    values: tuple[int, ...] | None


def decode_mask(mask: NDArray[np.integer], classes: Sequence[LabelClass], where: object) -> Label:
    """Turn a mask into class indices.

    Args:
        mask: `(height, width)` whole numbers.
        classes: The classes in the order of their indices.
        where: The mask's file, for the error message.

    Returns:
        `(height, width)` uint8, the index of each pixel's class.

    Raises:
        InputError: The mask holds a value that no class declares.
    """
    declared = {value: i for i, c in enumerate(classes) for value in c.values or ()}
    rest = next((i for i, c in enumerate(classes) if c.values is None), None)
    values, counts = np.unique(mask, return_counts=True)
    undeclared = [int(value) for value in values if int(value) not in declared]
    if undeclared and rest is None:
        raise InputError(
            where,
            f"it holds values that no class declares; {_histogram(values, counts)}",
            _suggestion(values, undeclared, classes),
        )
    indices = np.array([declared.get(int(value), rest) for value in values], np.uint8)
    if values[0] >= 0 and values[-1] <= _LARGEST_TABLE:
        table = np.zeros(int(values[-1]) + 1, np.uint8)
        table[values] = indices
        label: Label = table[mask]
    else:
        label = indices[np.searchsorted(values, mask)]
    return label


def _histogram(values: NDArray[np.integer], counts: NDArray[np.integer], most: int = 8) -> str:
    order = np.argsort(-counts, kind="stable")[:most]
    rows = [f"{values[i]}: {counts[i] / counts.sum():.1%}" for i in order]
    more = f" and {len(values) - most} more" if len(values) > most else ""
    return f"share of pixels by value: {', '.join(rows)}{more}"


def _suggestion(
    values: NDArray[np.integer], undeclared: list[int], classes: Sequence[LabelClass]
) -> str:
    """Guess the class that is meant when one value is unknown and one class is not there."""
    present = {int(value) for value in values}
    absent = [c for c in classes if c.values is not None and present.isdisjoint(c.values)]
    if len(undeclared) == 1 and len(absent) == 1:
        return f"Did you mean {undeclared[0]} -> {absent[0].name}? Then write it into `classes`"
    return "Write the missing values into `classes`, or give one class `values: rest`"
