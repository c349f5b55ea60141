"""The parameter `classes`: what is told apart, and the mask values that mean it."""

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, field_validator

from unetflow.config.validation import Strict, read_parameters
from unetflow.core.errors import InputError
from unetflow.core.types import IGNORE

Value = int | str
"""A mask value: a number, a colour such as "#ff0000", or the name that an annotation gives."""

MOST_CLASSES = IGNORE
"""The labels from 0 on that leave 255 free."""


@dataclass(frozen=True)
class ClassSpec:
    """A class and the mask values that stand for it.

    Attributes:
        name: The class's name, for people.
        values: The mask values that mean it; None: every value that no other class names.
    """

    name: str
    values: tuple[Value, ...] | None


def is_colour(value: Value) -> bool:
    """Tell whether a mask value is a colour, such as "#ff0000"."""
    return isinstance(value, str) and value.startswith("#")


def read_value(value: Any) -> Value:
    """Read one mask value: a number, `[red, green, blue]`, "#rrggbb" or a name."""
    if type(value) is int and value >= 0:
        return value
    if isinstance(value, list) and len(value) == 3 and all(v in range(256) for v in value):
        return "#{:02x}{:02x}{:02x}".format(*value)
    if (
        isinstance(value, str)
        and value
        and (not value.startswith("#") or re.fullmatch(r"#[0-9a-fA-F]{6}", value))
    ):
        return value.lower() if value.startswith("#") else value
    raise ValueError(
        f"{value!r} is no mask value: give a number, a colour as [red, green, blue] or '#rrggbb', "
        "or the name that an annotation has"
    )


class ClassParameters(Strict):
    """A class and the mask values that mean it."""

    name: Annotated[str, Field(pattern=r"^\w[\w -]*$")]
    values: Any

    @field_validator("values")
    @classmethod
    def _read_values(cls, values: Any) -> tuple[Value, ...] | None:
        listed = values if isinstance(values, list) else [values]
        if listed == ["rest"]:
            return None
        if not listed:
            raise ValueError("it lists no value")
        return tuple(read_value(value) for value in listed)

    def to_label_class(self) -> ClassSpec:
        """Return what the library works with."""
        return ClassSpec(self.name, self.values)


def read_classes(values: Any) -> list[ClassSpec]:
    """Check the parameter `classes`: a list of at least two, each as in `ClassParameters`.

    Raises:
        InputError: It is not such a list, or a name or a value stands twice.
    """
    if not isinstance(values, list) or len(values) < 2 or not isinstance(values[0], dict):
        raise InputError(
            "classes",
            "it is not a list of classes, the background first",
            "Write each as `- {name: NAME, values: VALUE}`",
        )
    if len(values) > MOST_CLASSES:
        raise InputError("classes", f"it lists {len(values)}", f"Give at most {MOST_CLASSES}")
    classes = [read_parameters(ClassParameters, v, "classes").to_label_class() for v in values]
    claimed = [
        str(value) for c in classes for value in (["rest"] if c.values is None else c.values)
    ]
    names = [c.name for c in classes]
    for kind, items in (("mask value", claimed), ("name", names)):
        double = [item for item in items if items.count(item) > 1]
        if double:
            raise InputError("classes", f"the {kind} '{double[0]}' stands twice", "Remove one")
    return classes
