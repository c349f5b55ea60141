"""What the numbers in a mask mean: mask values to class indices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from unetflow.config.classes import Classes, ClassSpec, Value, is_colour
from unetflow.config.ingestion import MaskParameters
from unetflow.core.errors import DeclarationError, InputError
from unetflow.core.types import IGNORE, Label

_LARGEST_TABLE = 65535


@dataclass(frozen=True)
class ClassMap:
    """What a data set's annotations mean.

    Attributes:
        classes: The classes in the order of their indices, the background first.
        ignore: Mask values of pixels that count nowhere.
        threshold: Where set, mask values from it on become 255 and all others 0, but for the
            ignored ones: for masks with soft edges, also of single objects and regions.
    """

    classes: tuple[ClassSpec, ...]
    ignore: tuple[Value, ...] = ()
    threshold: int | None = None

    @classmethod
    def of(cls, classes: Classes, masks: MaskParameters) -> Self:
        """Return what the parameters `classes` and `ingestion.masks` say."""
        return cls(classes.root, tuple(masks.ignore), masks.threshold)

    @property
    def in_colour(self) -> bool:
        """Whether the declared values are colours."""
        values = [*self.ignore, *(v for c in self.classes for v in c.values or ())]
        return any(is_colour(value) for value in values)

    def index_of(self, name: str, where: object, counts: Mapping[str, int] | None = None) -> int:
        """Return the label of a named annotation, such as a category of COCO.

        Args:
            name: The name.
            where: What is annotated, for the error message.
            counts: Number of objects by name in the whole data set, so that the error can list
                all that is not declared.

        Raises:
            InputError: No class declares the name.
        """
        index = self._find_index(name)
        if index is None:
            counts = {name: 1, **counts} if counts else {}
            undeclared = {n: count for n, count in counts.items() if self._find_index(n) is None}
            raise DeclarationError(
                where,
                f"no class declares its objects named '{name}'{self._list_names(undeclared)}",
                f"Write {'each of them' if len(undeclared) > 1 else repr(name)} into the `values` "
                "of a class, or give one `values: rest`",
            )
        return index

    def _find_index(self, name: str) -> int | None:
        """Return the label of a name; None where no class declares it."""
        if name in self.ignore:
            return IGNORE
        rest = None
        for index, declared in enumerate(self.classes):
            if declared.values is None:
                rest = index
            elif name in declared.values:
                return index
        return rest

    def _list_names(self, undeclared: Mapping[str, int]) -> str:
        """Return the end of a sentence: the names that are not declared, and those that are."""
        if not undeclared:
            return ""
        values = [v for c in self.classes for v in c.values or ()] + [*self.ignore]
        declared = [repr(v) for v in values if isinstance(v, str) and not is_colour(v)]
        listed = ", ".join(f"{name!r} ({count})" for name, count in undeclared.items())
        return (
            f"; in all the data these names (with their numbers of objects) are not declared: "
            f"{listed}; these are: {', '.join(declared) or 'none'}"
        )

    def object_index(self, where: object) -> int:
        """Return the label of objects that have no name.

        Raises:
            InputError: There is more than one class that they could belong to.
        """
        if len(self.classes) != 2:
            raise InputError(
                where,
                f"its objects have no class, and `classes` lists {len(self.classes)}",
                "List two classes, the background and what the objects are",
            )
        return 1


def decode_mask(mask: NDArray[np.integer], class_map: ClassMap, where: object) -> Label:
    """Turn a mask into class indices.

    Args:
        mask: `(height, width)` whole numbers; of a colour mask red, green and blue as the three
            bytes of one number.
        class_map: What they mean.
        where: The mask's file, for the error message.

    Returns:
        `(height, width)` uint8, the index of each pixel's class, 255 where ignored.

    Raises:
        InputError: The mask holds a value that no class declares.
    """
    ignored = ignored_pixels(mask, class_map)
    if class_map.threshold is not None:
        mask = np.where(mask >= class_map.threshold, np.uint8(255), np.uint8(0))
    declared = {_number(v): i for i, c in enumerate(class_map.classes) for v in c.values or ()}
    declared |= {_number(value): IGNORE for value in class_map.ignore}
    rest = next((i for i, c in enumerate(class_map.classes) if c.values is None), None)
    values, counts = np.unique(mask, return_counts=True)
    undeclared = [int(value) for value in values if int(value) not in declared]
    if undeclared and rest is None:
        raise DeclarationError(
            where,
            "it holds values that no class declares; "
            + _histogram(values, counts, class_map.in_colour),
            _suggestion(values, counts, undeclared, class_map),
        )
    indices = np.array([declared.get(int(value), rest) for value in values], np.uint8)
    if values[0] >= 0 and values[-1] <= _LARGEST_TABLE:
        table = np.zeros(int(values[-1]) + 1, np.uint8)
        table[values] = indices
        label: Label = table[mask]
    else:
        label = indices[np.searchsorted(values, mask)]
    if ignored is not None:
        label[ignored] = IGNORE
    return label


def ignored_pixels(mask: NDArray[np.integer], class_map: ClassMap) -> NDArray[np.bool_] | None:
    """Return where a mask holds ignored values, before any threshold; None if none is declared."""
    values = [_number(value) for value in class_map.ignore]
    numbers = [value for value in values if isinstance(value, int)]
    return np.isin(mask, numbers) if numbers else None


def object_pixels(mask: NDArray[np.integer], class_map: ClassMap) -> NDArray[np.bool_]:
    """Return where the mask of one object, or of a region, is set: all but 0, or by threshold."""
    return mask != 0 if class_map.threshold is None else mask >= class_map.threshold


def _number(value: Value) -> Value:
    """Return what stands in the mask; a name stands in none."""
    return int(value[1:], 16) if isinstance(value, str) and is_colour(value) else value


def _histogram(
    values: NDArray[np.integer], counts: NDArray[np.integer], in_colour: bool, most: int = 8
) -> str:
    order = np.argsort(-counts, kind="stable")[:most]
    names = [_show(int(values[i]), in_colour) for i in order]
    rows = [f"{name}: {counts[i] / counts.sum():.1%}" for name, i in zip(names, order, strict=True)]
    more = f" and {len(values) - most} more" if len(values) > most else ""
    return f"share of pixels by value: {', '.join(rows)}{more}"


def _show(value: int, in_colour: bool) -> str:
    return f"#{value:06x}" if in_colour else str(value)


def _suggestion(
    values: NDArray[np.integer],
    counts: NDArray[np.integer],
    undeclared: Sequence[int],
    class_map: ClassMap,
) -> str:
    """Guess what is meant: one value for the class that is not there, or soft edges."""
    present = {int(value) for value in values}
    absent = [
        c
        for c in class_map.classes
        if c.values is not None and present.isdisjoint(map(_number, c.values))
    ]
    if len(undeclared) == 1 and len(absent) == 1:
        value = _show(undeclared[0], class_map.in_colour)
        return f"Did you mean {value} -> {absent[0].name}? Then write it into `classes`"
    extremes = np.isin(values, (values[0], values[-1]))
    soft = len(values) > 4 and values[-1] == 255 and counts[extremes].sum() > counts.sum() / 2
    if soft and not class_map.in_colour:
        return (
            "These look like soft edges: set `ingestion.masks.threshold: 128`, which makes values "
            "from 128 on 255 and all others 0"
        )
    return "Write the missing values into `classes`, or give one class `values: rest`"
