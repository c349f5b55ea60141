"""Class map: the mask values and names of annotations, and the class indices they stand for."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from unetflow.config.classes import Classes, ClassSpec, Value, is_colour
from unetflow.config.ingestion import MaskParameters
from unetflow.core.errors import DeclarationError, InputError
from unetflow.core.types import IGNORE, Label

_MAX_TABLE_VALUE = 65535
_MAX_LISTED = 8
Integers = NDArray[np.integer]


@dataclass(frozen=True)
class ClassMap:
    """The classes of a data set and the values that stand for them."""

    classes: tuple[ClassSpec, ...]  # in the order of their indices, the background first
    ignore: tuple[Value, ...] = ()  # mask values of pixels excluded from training and scores
    # If set, mask values from it on become 255 and all others 0, except for the ignored ones: for
    # masks with soft edges, also of single objects and regions.
    binarise_at: int | None = None

    @classmethod
    def of(cls, classes: Classes, masks: MaskParameters) -> Self:
        """Return the class map of the parameters `classes` and `ingestion.masks`."""
        return cls(classes.root, tuple(masks.ignore), masks.binarise_at)

    @cached_property
    def indices(self) -> dict[Value, int]:
        """The label of each declared value, 255 for ignored ones."""
        declared = {v: i for i, spec in enumerate(self.classes) for v in spec.values or ()}
        return declared | dict.fromkeys(self.ignore, IGNORE)

    @cached_property
    def rest(self) -> int | None:
        """The label of all values that are not declared; None where they are errors."""
        return next((i for i, spec in enumerate(self.classes) if spec.values is None), None)

    @property
    def in_colour(self) -> bool:
        """Whether the declared values are colours."""
        return any(map(is_colour, self.indices))

    def index_of(self, name: str, where: object, counts: Mapping[str, int] | None = None) -> int:
        """Return the label of a named annotation, such as a category of COCO.

        An error that no class declares the name lists all such names of `counts`, the numbers of
        objects by name in the whole data set.
        """
        index = self.indices.get(name, self.rest)
        if index is not None:
            return index
        undeclared = {name: 1, **counts} if counts else {}
        undeclared = {n: count for n, count in undeclared.items() if n not in self.indices}
        problem = f"no class declares its objects named '{name}'"
        if undeclared:
            names = [repr(v) for v in self.indices if isinstance(v, str) and not is_colour(v)]
            listed = ", ".join(f"{n!r} ({count})" for n, count in undeclared.items())
            problem += (
                f"; in the whole data set these names (with their numbers of objects) are not "
                f"declared: {listed}; these are: {', '.join(names) or 'none'}"
            )
        which = "each of them" if len(undeclared) > 1 else repr(name)
        fix = f"Write {which} into the `values` of a class, or give one `values: rest`"
        raise DeclarationError(where, problem, fix)

    def object_index(self, where: object) -> int:
        """Return the label of objects without name; refuse several classes for them."""
        if len(self.classes) != 2:
            problem = f"its objects have no class, and `classes` lists {len(self.classes)}"
            fix = "List two classes, the background and that of the objects"
            raise InputError(where, problem, fix)
        return 1


def decode_mask(mask: Integers, class_map: ClassMap, where: object) -> Label:
    """Convert the `(height, width)` whole numbers of a mask to class indices, 255 where ignored.

    In a colour mask red, green and blue are the three bytes of a number. A value that no class
    declares is refused.
    """
    ignored = ignored_pixels(mask, class_map)
    if class_map.binarise_at is not None:
        mask = np.where(mask >= class_map.binarise_at, np.uint8(255), np.uint8(0))
    declared = {_to_number(value): index for value, index in class_map.indices.items()}
    values, counts = np.unique(mask, return_counts=True)
    undeclared = [int(value) for value in values if int(value) not in declared]
    if undeclared and class_map.rest is None:
        raise _undeclared_error(values, counts, undeclared, class_map, where)
    indices = np.array([declared.get(int(value), class_map.rest) for value in values], np.uint8)
    if values[0] >= 0 and values[-1] <= _MAX_TABLE_VALUE:
        table = np.zeros(int(values[-1]) + 1, np.uint8)
        table[values] = indices
        label: Label = table[mask]
    else:
        label = indices[np.searchsorted(values, mask)]
    if ignored is not None:
        label[ignored] = IGNORE
    return label


def ignored_pixels(mask: Integers, class_map: ClassMap) -> NDArray[np.bool_] | None:
    """Return where a mask holds ignored values before it is binarised; None without such values."""
    numbers = [number for v in class_map.ignore if isinstance(number := _to_number(v), int)]
    return np.isin(mask, numbers) if numbers else None


def object_pixels(mask: Integers, class_map: ClassMap) -> NDArray[np.bool_]:
    """Return where the mask of one object or region is set: not 0, or at least `binarise_at`."""
    return mask != 0 if class_map.binarise_at is None else mask >= class_map.binarise_at


def _to_number(value: Value) -> Value:
    """Return the number that stands for a colour in a mask; other values as they are."""
    return int(str(value)[1:], 16) if is_colour(value) else value


def _undeclared_error(
    values: Integers, counts: Integers, undeclared: list[int], class_map: ClassMap, where: object
) -> DeclarationError:
    """Return an error that lists the most frequent values of a mask and guesses what is meant."""
    form = "#{:06x}" if class_map.in_colour else "{}"
    order = np.argsort(-counts, kind="stable")[:_MAX_LISTED]
    shares = [f"{form.format(int(values[i]))}: {counts[i] / counts.sum():.1%}" for i in order]
    more = f" and {len(values) - _MAX_LISTED} more" if len(values) > _MAX_LISTED else ""
    absent = [
        spec
        for spec in class_map.classes
        if spec.values is not None and {*values.tolist()}.isdisjoint(map(_to_number, spec.values))
    ]
    is_soft = len(values) > 4 and values[-1] == 255 and counts[0] + counts[-1] > counts.sum() / 2
    fix = "Write the missing values into `classes`, or give one class `values: rest`"
    is_numbered = len(values) > _MAX_LISTED and values[-1] - values[0] < 1.25 * len(values)
    if len(undeclared) == 1 and len(absent) == 1:
        value = form.format(undeclared[0])
        fix = f"Did you mean {value} -> {absent[0].name}? Then write it into `classes`"
    elif is_numbered and len(class_map.classes) == 2 and not class_map.in_colour:
        fix += (
            ". If they number the objects, set `ingestion.masks.instances: true`, or `mixed` if "
            "those of other masks do not"
        )
    elif is_soft and not class_map.in_colour:
        fix = (
            "These look like soft edges: set `ingestion.masks.binarise_at: 128`, which makes "
            "values from 128 on 255 and all others 0"
        )
    problem = "it holds values that no class declares; share of pixels by value: "
    return DeclarationError(where, f"{problem}{', '.join(shares)}{more}", fix)
