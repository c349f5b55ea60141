"""Checks before a file is decoded, and explanations of decoding failures."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from unetflow.core.errors import InputError
from unetflow.io.files import ReadableFile

MAX_PIXELS = 400_000_000
"""Default limit of width times height: 20,000 x 20,000."""
MAX_CHANNELS = 256
_FEW_CHANNELS = 16
"""Images of more channels may have proportionally fewer pixels."""
_SPARE_BYTES, _BYTES_PER_PIXEL = 2**24, 16
"""Allowance for metadata, and twice the size of the largest pixel of PNG."""

_SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": ("PNG", (".png",)),
    b"\xff\xd8\xff": ("JPEG", (".jpg", ".jpeg")),
    b"GIF8": ("GIF", (".gif",)),
    b"BM": ("BMP", (".bmp",)),
    **dict.fromkeys((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), ("TIFF", (".tif", ".tiff"))),
    b"PK\x03\x04": ("a zip archive", ()),
    b"%PDF": ("PDF", ()),
    b"<": ("a web page", ()),
}
"""First bytes of files, the kind they stand for, and the file extensions of that kind."""


def check_size(where: object, width: int, height: int, max_pixels: int, channels: int = 1) -> None:
    """Raise an `InputError` if a header claims more pixels or channels than allowed."""
    if channels > MAX_CHANNELS:
        problem = f"{channels} channels are more than the allowed {MAX_CHANNELS}"
        raise InputError(where, problem, "Keep the channels that matter")
    allowed = max_pixels if channels <= _FEW_CHANNELS else max_pixels * _FEW_CHANNELS // channels
    if width * height > allowed:
        of_channels = "" if allowed == max_pixels else f" of {channels} channels"
        problem = f"{width} x {height} pixels{of_channels} are more than the allowed {allowed}"
        raise InputError(where, problem, "Cut the image into parts, or raise ingestion.max_pixels")


def read_bounded(where: object, opened: BinaryIO, width: int, height: int) -> bytes:
    """Read the rest of a file; raise an `InputError` if it is longer than its pixels can need."""
    most = _SPARE_BYTES + _BYTES_PER_PIXEL * width * height
    data = opened.read(most + 1)
    if len(data) > most:
        problem = f"it holds more bytes than {width} x {height} pixels need"
        raise InputError(where, problem, "Export it again from its source")
    return data


def detect_format(start: bytes) -> tuple[str, tuple[str, ...]]:
    """Return the kind of a file ("" if unknown) and its extensions, from its first eight bytes.

    A kind that no reader supports has no extensions.
    """
    return next(
        (found for signature, found in _SIGNATURES.items() if start.startswith(signature)), ("", ())
    )


@contextmanager
def decoding_errors(file: ReadableFile) -> Iterator[None]:
    """Turn whatever the block raises into an `InputError`."""
    try:
        yield
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(file, "the file does not exist", "Check the path") from error
    except PermissionError as error:
        raise InputError(file, "the file may not be read", "Change its permissions") from error
    except MemoryError as error:
        raise InputError(file, "the file does not fit into memory", "Cut it into parts") from error
    except Exception as error:  # decoders raise anything on damaged bytes, struct.error included
        raise InputError(file, *explain_damage(file, error)) from error


def explain_damage(file: ReadableFile, error: Exception) -> tuple[str, str]:
    """Return the problem and the fix for a file that a decoder could not read."""
    try:
        with file.open("rb") as opened:
            start = opened.read(8)
    except OSError:  # a folder, for example; the decoder's error explains it
        start = b"?"
    if not start:
        return "the file is empty", "Export or copy it again from its source"
    kind, extensions = detect_format(start)
    if kind and file.suffix.lower() not in extensions:
        fix = "Correct the file extension" if extensions else "Download or export it again"
        return f"its content is {kind}, though its name ends in {file.suffix}", fix
    reason = " ".join(str(error).split())[:200]
    problem = f"the file cannot be decoded ({type(error).__name__}: {reason})"
    return problem, "Export or copy it again from its source"
