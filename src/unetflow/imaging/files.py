"""Files: telling whether they changed, and writing them so that a crash leaves none half done."""

import hashlib
import io
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from unetflow.imaging.archives import ArchiveMember
from unetflow.imaging.errors import InputError


@dataclass(frozen=True)
class FileInMemory:
    """A file that lies on no disk, with the part of `pathlib.Path` that readers need.

    Attributes:
        name: What messages call it.
        suffix: The ending that files of its format have.
        data: Its bytes.
    """

    name: str
    suffix: str
    data: bytes = field(repr=False)

    def open(self, mode: Literal["rb"] = "rb") -> io.BytesIO:
        """Return the bytes as a file."""
        return io.BytesIO(self.data)

    def __str__(self) -> str:
        return self.name


File: TypeAlias = Path | ArchiveMember
"""A file on disk or in a zip archive; both have `name`, `stem`, `suffix` and `open("rb")`."""

ReadableFile: TypeAlias = File | FileInMemory
"""What readers of images take."""


@contextmanager
def replacing(path: Path, *, sync_folder: bool = True) -> Iterator[Path]:
    """Give a temporary path to write to, then move it to `path` in one step.

    The temporary file lies in the same folder and has the same ending. It is synced and renamed
    when the block ends, and removed when the block raises: whatever was at `path` before stays
    untouched until the new file is whole.

    Args:
        path: Where the file shall be; missing folders are made.
        sync_folder: Whether the new name too must be on the disk at the end; not needed where
            another file of the same folder follows.

    Yields:
        The path to write to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid.uuid4().hex[:12]}.{path.name}")
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if sync_folder:
        _sync(path.parent)


def put_in_place(finished: Path, target: Path) -> None:
    """Move a finished file or folder to its place by one rename, and wait until it is on the disk.

    A folder cannot replace another one: that is moved beside the finished one before, under a
    hidden name.

    Args:
        finished: On the same disk as the target.
        target: Where it shall be; missing folders are made.
    """
    for path in [*(finished.rglob("*") if finished.is_dir() else ()), finished]:
        _sync(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir():
        os.replace(target, finished.with_name(f".{uuid.uuid4().hex[:12]}.{finished.name}"))
    os.replace(finished, target)
    _sync(target.parent)


def _sync(path: Path) -> None:
    """Wait until the file or folder is on the disk (folders cannot be synced on Windows)."""
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def require_file(path: Path) -> None:
    """Raise an `InputError` when a file that an earlier stage writes is not there."""
    if not path.is_file():
        raise InputError(
            path,
            "the file is not there",
            "Run the stage that writes it first, or the whole chain with `kedro run`",
        )


def sha256(file: File) -> str:
    """Return the SHA-256 digest of a file's bytes in hexadecimal."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def size(file: File) -> int:
    """Return a file's size in bytes; a packed file's unpacked size."""
    return file.size() if isinstance(file, ArchiveMember) else file.stat().st_size


def stamp(file: File) -> str:
    """Return a short text that changes when a file changes, without reading the file.

    Of a file on disk it is the size and the time of the last change in nanoseconds, of a file in
    an archive its size and check sum.
    """
    if isinstance(file, ArchiveMember):
        return file.stamp()
    status = file.stat()
    return f"{status.st_size}-{status.st_mtime_ns}"
