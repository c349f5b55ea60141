"""Values out of JSON files, checked one by one, since anybody may have written them."""

import json
from collections.abc import Mapping
from typing import Any, TypeAlias, TypeVar

from unetflow.annotations.tables import read_bytes, shorten
from unetflow.core.errors import InputError
from unetflow.io.files import File

Record: TypeAlias = Mapping[str, Any]
Identifier: TypeAlias = int | str
Value = TypeVar("Value")

AGAIN = "Export the annotations again"
_KINDS: dict[Any, str] = {dict: "an object with keys", list: "a list", str: "a text"}


def read_json(file: File) -> dict[str, Any]:
    """Read a JSON file that holds an object with keys.

    Raises:
        InputError: It cannot be read, or is something else.
    """
    data = read_bytes(file)
    try:
        content = json.loads(data)
    except (ValueError, RecursionError, MemoryError) as error:
        raise InputError(file, f"it is no JSON file ({error})", "Export it again") from error
    if not isinstance(content, dict):
        raise InputError(file, "its JSON holds no object with keys", "Export it again")
    return content


def value_of(record: Record, key: str, kind: type[Value], where: object) -> Value:
    """Return the value of a key in a JSON object.

    Raises:
        InputError: There is none, or it is not of the kind: dict, list or str.
    """
    if key not in record:
        raise InputError(where, f"it has no key '{key}'", AGAIN)
    value = record[key]
    if not isinstance(value, kind):
        raise InputError(where, f"its '{key}' is not {_KINDS[kind]}", AGAIN)
    return value


def read_id(record: Record, key: str, where: object) -> Identifier:
    """Return a whole number or a text that stands for something.

    Raises:
        InputError: There is none.
    """
    value = record.get(key)
    if isinstance(value, int | str) and not isinstance(value, bool):
        return value
    raise InputError(where, f"its '{key}' is missing or no id: {shorten(value)}", AGAIN)


def read_size(record: Record, height: str, width: str, where: object) -> tuple[int, int] | None:
    """Return the size of an image under two keys of a JSON object; None where both are missing.

    Raises:
        InputError: They are not whole numbers above 0.
    """
    tall, wide = record.get(height), record.get(width)
    if tall is None and wide is None:
        return None
    if isinstance(tall, int) and isinstance(wide, int) and min(tall, wide) > 0:
        return tall, wide
    raise InputError(
        where, f"its '{height}' {shorten(tall)} and '{width}' {shorten(wide)} are no size", AGAIN
    )
