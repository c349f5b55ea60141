"""Columns of CSV tables as texts, as people's spreadsheets write them."""

import io
from collections.abc import Sequence

import pandas as pd

from unetflow.annotations.tables import read_bytes, shorten
from unetflow.core.errors import InputError
from unetflow.io.files import File

_OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs"}


def read_columns(file: File, columns: Sequence[str]) -> list[list[str]]:
    """Read some columns of a table in UTF-8, with or without a byte order mark.

    Args:
        file: The table; its columns are separated by commas and have their names in the first row.
        columns: The names of the wanted columns.

    Returns:
        The values of each column, without the white space around them; "" where a cell is empty.
        All are texts, though they look like numbers.

    Raises:
        InputError: It cannot be read, is no such table, or lacks a column.
    """
    data = read_bytes(file)
    # Nothing that is written in UTF-8 has such bytes, but half of all UTF-16 without a mark has.
    if b"\0" in data:
        raise InputError(file, "it is not written in UTF-8", "Save it as UTF-8")
    try:
        _require_commas(file, pd.read_csv(io.BytesIO(data), dtype=str, nrows=0))
        # Only the empty field is none: "NA" may be an image's name.
        frame = pd.read_csv(io.BytesIO(data), dtype=str, keep_default_na=False)
    except UnicodeDecodeError as error:
        problem = f"it is not written in UTF-8 ({error})"
        raise InputError(file, problem, "Save it as UTF-8") from error
    except InputError:
        raise
    except (ValueError, OverflowError, MemoryError) as error:
        reason = " ".join(str(error).split())
        raise InputError(file, f"it is no CSV table ({reason})", "Save it as CSV") from error
    if not isinstance(frame.index, pd.RangeIndex):
        raise InputError(
            file, "its rows have more fields than its header", "Give each column a name"
        )
    names = [str(name).strip() for name in frame.columns]
    for column in columns:
        if names.count(column.strip()) != 1:
            number = "no" if column.strip() not in names else "more than one"
            known = ", ".join(map(shorten, names[:8]))
            raise InputError(file, f"it has {number} column '{column}'", f"Its columns: {known}")
    places = [names.index(column.strip()) for column in columns]
    return [frame.iloc[:, place].str.strip().tolist() for place in places]


def _require_commas(file: File, header: pd.DataFrame) -> None:
    """Stop where a table's header is one column that other signs separate."""
    names = list(map(str, header.columns))
    used = [word for sign, word in _OTHER_SEPARATORS.items() if sign in names[0]]
    if len(names) == 1 and used:
        raise InputError(file, f"{used[0]} separate its columns", "Separate its columns by commas")
