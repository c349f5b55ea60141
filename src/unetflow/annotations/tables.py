"""Tables of annotations in CSV and JSON: read within bounds, and checked."""

import io
import json
import posixpath
from collections.abc import Sequence
from pathlib import PureWindowsPath
from typing import Annotated, Any, TypeAlias, TypeVar
from zipfile import BadZipFile

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError

from unetflow.core.errors import InputError
from unetflow.io.files import File, file_size

MAX_TABLE_BYTES = 2 * 2**30
"""Size of a table, which is read as a whole."""
MAX_COORDINATE = 2**27
"""Distance of a point from the image's corner, in pixels."""
AGAIN = "Export the annotations again"
_OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs"}


class Record(BaseModel):
    """An object of a JSON file; keys that no field names are ignored."""

    model_config = ConfigDict(strict=True)


Model = TypeVar("Model", bound=Record)


def _check_id(value: object) -> int | str:
    if isinstance(value, int | str) and not isinstance(value, bool):
        return value
    raise ValueError("it must be a whole number or a text")


Identifier: TypeAlias = Annotated[int | str, PlainValidator(_check_id)]
Coordinate: TypeAlias = Annotated[
    float, Field(ge=-MAX_COORDINATE, le=MAX_COORDINATE, allow_inf_nan=False)
]
"""A number of pixels."""


def read_bytes(file: File, max_bytes: int | None = None) -> bytes:
    """Read a table's file; refuse one of more than `max_bytes`, or else `MAX_TABLE_BYTES`."""
    limit = MAX_TABLE_BYTES if max_bytes is None else max_bytes
    try:
        size = file_size(file)
        if size > limit:
            problem = f"its {size} bytes are more than the allowed {limit}"
            raise InputError(file, problem, "Split it into several files")
        with file.open("rb") as opened:
            return opened.read()
    except (OSError, BadZipFile, KeyError) as error:  # an archive that has changed since
        reason = " ".join(str(error).split())[:200]
        problem = f"it cannot be read ({type(error).__name__}: {reason})"
        raise InputError(file, problem, "Copy it again") from error


def read_columns(file: File, columns: Sequence[str]) -> list[list[str]]:
    """Read columns of a CSV table in UTF-8 that commas separate and that the first row names.

    The values are texts without the white space around them, "" for an empty cell.

    Raises:
        InputError: It cannot be read, is not such a table, or lacks a column.
    """
    data = read_bytes(file)
    # UTF-8 has no such bytes; half of all UTF-16 without a byte order mark has.
    if b"\0" in data:
        raise InputError(file, "it is not written in UTF-8", "Save it as UTF-8")
    try:
        header = [str(name) for name in pd.read_csv(io.BytesIO(data), dtype=str, nrows=0)]
        joined = header[0] if len(header) == 1 else ""
        used = [word for sign, word in _OTHER_SEPARATORS.items() if sign in joined]
        # Only an empty cell is missing: "NA" may be an image's name.
        frame = None if used else pd.read_csv(io.BytesIO(data), dtype=str, keep_default_na=False)
    except UnicodeDecodeError as error:
        problem = f"it is not written in UTF-8 ({error})"
        raise InputError(file, problem, "Save it as UTF-8") from error
    except (ValueError, OverflowError, MemoryError) as error:
        reason = " ".join(str(error).split())
        raise InputError(file, f"it is not a CSV table ({reason})", "Save it as CSV") from error
    if frame is None:
        raise InputError(file, f"{used[0]} separate its columns", "Separate its columns by commas")
    if not isinstance(frame.index, pd.RangeIndex):
        problem = "its rows have more fields than its header"
        raise InputError(file, problem, "Give each column a name")
    names = [str(name).strip() for name in frame.columns]
    for column in columns:
        if names.count(column.strip()) != 1:
            number = "no" if column.strip() not in names else "more than one"
            known = ", ".join(map(shorten, names[:8]))
            raise InputError(file, f"it has {number} column '{column}'", f"Its columns: {known}")
    places = [names.index(column.strip()) for column in columns]
    return [frame.iloc[:, place].str.strip().tolist() for place in places]


def read_json(file: File, max_bytes: int | None = None) -> dict[str, Any]:
    """Read a JSON file as `read_bytes` does; refuse one that holds no object with keys."""
    data = read_bytes(file, max_bytes)
    try:
        content = json.loads(data)
    except (ValueError, RecursionError, MemoryError) as error:
        raise InputError(file, f"it is not a JSON file ({error})", "Export it again") from error
    if not isinstance(content, dict):
        raise InputError(file, "its JSON is not an object with keys", "Export it again")
    return content


def parse_record(model: type[Model], value: object, where: object) -> Model:
    """Check an object of a JSON file; an error names `where` and the first wrong key."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
    path = "".join(f"[{part}]" if isinstance(part, int) else part for part in first["loc"])
    name = f"its '{path}'" if path else "it"
    if first["type"] == "missing":
        raise InputError(where, f"{name} is missing", AGAIN)
    reason = first["msg"].removeprefix("Value error, ").replace("Input should", "it must")
    reason = reason.partition(" or instance of")[0]
    raise InputError(where, f"{name} is {shorten(first['input'])}, but {reason}", AGAIN)


def read_size(
    record: dict[str, Any], height: str, width: str, where: object
) -> tuple[int, int] | None:
    """Return an image's size under two keys of a JSON object; None where both are missing."""
    size = record.get(height), record.get(width)
    match size:
        case None, None:
            return None
        case int(tall), int(wide) if min(tall, wide) > 0:
            return tall, wide
    listed = f"'{height}' {shorten(size[0])} and '{width}' {shorten(size[1])}"
    raise InputError(where, f"its {listed} are not a size", AGAIN)


def resolve_path(folder: str, name: str) -> str | None:
    """Return the target of a path in a table, relative to a folder; None outside the root.

    Both kinds of slashes are understood, since tables are written on Windows too.
    """
    path = PureWindowsPath(name)
    if path.anchor:
        return None
    joined = posixpath.normpath(posixpath.join(folder, path.as_posix()))
    return None if joined.split("/")[0] == ".." else joined


def shorten(value: object, length: int = 60) -> str:
    """Return a value of a table for an error message: on one line, and not too long."""
    if isinstance(value, list | dict):
        return f"a {type(value).__name__}"
    text = repr(value[:length] if isinstance(value, str) else value)
    return text if len(text) <= length + 2 else f"{text[:length]}..."
