"""What all tables have in common, whatever they are written in: JSON or CSV."""

from zipfile import BadZipFile

from unetflow.core.errors import InputError
from unetflow.io.files import File, file_size

MAX_TABLE_BYTES = 2 * 2**30
"""Size of a table, which is read in one go."""


def read_bytes(file: File) -> bytes:
    """Read a table's file, unless it is too large.

    Raises:
        InputError: It is, or it cannot be read.
    """
    try:
        if file_size(file) > MAX_TABLE_BYTES:
            raise InputError(
                file,
                f"its {file_size(file)} bytes are more than the allowed {MAX_TABLE_BYTES}",
                "Split it into several files",
            )
        with file.open("rb") as opened:
            return opened.read()
    except (OSError, BadZipFile, KeyError) as error:  # an archive that is no longer the same
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            file, f"it cannot be read ({type(error).__name__}: {reason})", "Copy it again"
        ) from error


def shorten(value: object, most: int = 60) -> str:
    """Return a value of a table for an error message: on one line, and not too long."""
    if isinstance(value, list | dict):
        return f"a {type(value).__name__}"
    text = repr(value[:most] if isinstance(value, str) else value)
    return text if len(text) <= most + 2 else f"{text[:most]}..."
