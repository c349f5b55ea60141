"""What is looked at before a file is decoded, and what is said when that fails."""

from typing import BinaryIO

from unetflow.core.errors import InputError
from unetflow.io.files import ReadableFile

MAX_PIXELS = 400_000_000
"""Pixels that an image may have before it is refused unread: 20,000 x 20,000."""
MAX_CHANNELS = 256
_FEW_CHANNELS = 16
"""Channels up to which an image may have the most pixels; of more, fewer pixels."""
_SPARE_BYTES, _BYTES_FOR_A_PIXEL = 2**24, 16
"""What a file may hold besides pixels, and twice what the largest pixel of PNG takes."""

_SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": ("PNG", (".png",)),
    b"\xff\xd8\xff": ("JPEG", (".jpg", ".jpeg")),
    b"GIF8": ("GIF", (".gif",)),
    b"BM": ("BMP", (".bmp",)),
    b"II*\0": ("TIFF", (".tif", ".tiff")),
    b"MM\0*": ("TIFF", (".tif", ".tiff")),
    b"II+\0": ("TIFF", (".tif", ".tiff")),
    b"MM\0+": ("TIFF", (".tif", ".tiff")),
    b"PK\x03\x04": ("a zip archive", ()),
    b"%PDF": ("PDF", ()),
    b"<": ("a web page", ()),
}
"""How files of a kind begin, and the endings that their names should have."""


def check_size(where: object, width: int, height: int, max_pixels: int, channels: int = 1) -> None:
    """Refuse an image whose header claims more pixels than are allowed, before decoding it."""
    if channels > MAX_CHANNELS:
        raise InputError(
            where,
            f"{channels} channels are more than the allowed {MAX_CHANNELS}",
            "Keep the channels that matter",
        )
    allowed = max_pixels if channels <= _FEW_CHANNELS else max_pixels * _FEW_CHANNELS // channels
    if width * height > allowed:
        of_channels = "" if allowed == max_pixels else f" of {channels} channels"
        raise InputError(
            where,
            f"{width} x {height} pixels{of_channels} are more than the allowed {allowed}",
            "Cut the image into parts, or raise ingestion.max_pixels",
        )


def read_bounded(where: object, opened: BinaryIO, width: int, height: int) -> bytes:
    """Read the rest of a file, but no more than an image of its size can need.

    Raises:
        InputError: There is more.
    """
    most = _SPARE_BYTES + _BYTES_FOR_A_PIXEL * width * height
    data = opened.read(most + 1)
    if len(data) > most:
        raise InputError(
            where,
            f"it holds more bytes than {width} x {height} pixels need",
            "Export it again from its source",
        )
    return data


def detect_format(start: bytes) -> tuple[str, tuple[str, ...]]:
    """Tell of what kind a file is by its first eight bytes, and which endings its name should have.

    Returns:
        The kind, empty where it is unknown, and the endings, none where no reader knows it.
    """
    return next(
        (found for signature, found in _SIGNATURES.items() if start.startswith(signature)), ("", ())
    )


def explain_damage(file: ReadableFile, error: Exception) -> tuple[str, str]:
    """Return the problem and the mend of a file that a decoder could not read."""
    try:
        with file.open("rb") as opened:
            start = opened.read(8)
    except OSError:  # a folder, say; the first error tells
        start = b"?"
    if not start:
        return "the file is empty", "Export or copy it again from its source"
    kind, endings = detect_format(start)
    if kind and file.suffix.lower() not in endings:
        return (
            f"its content is {kind}, though its name ends in {file.suffix}",
            "Give it the right ending" if endings else "Download or export it again",
        )
    reason = " ".join(str(error).split())[:200]
    return (
        f"the file cannot be decoded ({type(error).__name__}: {reason})",
        "Export or copy it again from its source",
    )
