"""The parameter `classes`: the classes and the mask values that mean them."""

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from pydantic import ConfigDict, Field, RootModel, field_validator, model_validator
from pydantic.dataclasses import dataclass

from unetflow.core.errors import InputError
from unetflow.core.types import IGNORE

Value = int | str
"""A mask value: a number, a colour such as "#ff0000", or a name in an annotation."""

MAX_CLASSES = IGNORE
"""The labels from 0 on that leave 255 free."""


def is_colour(value: Value) -> bool:
    """Return whether a mask value is a colour, such as "#ff0000"."""
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
        f"{value!r} is not a mask value: give a number, a colour as [red, green, blue] or "
        "'#rrggbb', or the name in an annotation"
    )


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class ClassSpec:
    """A class and the mask values that mean it.

    Attributes:
        name: The class's name, for people.
        values: The mask values that mean it; None, in YAML `rest`: every value that no other class
            names.
    """

    name: Annotated[str, Field(pattern=r"^\w[\w -]*$")]
    values: tuple[Value, ...] | None

    @field_validator("values", mode="before")
    @classmethod
    def _read_values(cls, values: Any) -> tuple[Value, ...] | None:
        if values is None or isinstance(values, tuple):
            return values
        listed = values if isinstance(values, list) else [values]
        if listed == ["rest"]:
            return None
        if not listed:
            raise ValueError("it lists no value")
        return tuple(read_value(value) for value in listed)


class Classes(RootModel[tuple[ClassSpec, ...]]):
    """All classes in the order of their labels, the background first."""

    model_config = ConfigDict(frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _is_a_list(cls, values: Any) -> Any:
        if not isinstance(values, Sequence) or len(values) < 2 or isinstance(values[0], Value):
            raise InputError(
                "classes",
                "it is not a list of classes, the background first",
                "Write each as `- {name: NAME, values: VALUE}`",
            )
        if len(values) > MAX_CLASSES:
            raise InputError("classes", f"it lists {len(values)}", f"Give at most {MAX_CLASSES}")
        return values

    @model_validator(mode="after")
    def _names_nothing_twice(self) -> "Classes":
        claimed = [v for c in self.root for v in (("rest",) if c.values is None else c.values)]
        for kind, items in (("mask value", [str(v) for v in claimed]), ("name", self.names)):
            double = [item for item in items if items.count(item) > 1]
            if double:
                raise InputError("classes", f"the {kind} '{double[0]}' stands twice", "Remove one")
        return self

    @property
    def names(self) -> list[str]:
        """The names in the order of the labels."""
        return [c.name for c in self.root]

    def __iter__(self) -> Iterator[ClassSpec]:  # type: ignore[override] # of the root
        return iter(self.root)

    def __len__(self) -> int:
        return len(self.root)
