"""Files on disk, in zip archives and in memory: bytes, sizes, signatures, names for messages."""

import html
import io
import json
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeAlias
from urllib.parse import quote

from unetflow.core.errors import InputError

SMALL_BYTES = 2**18
"""Unpacked size up to which a member of an archive is unpacked at once."""
_NAME = r"[\w.-]"
"""Characters of file names: `/home/ann` must not match within `/home/anna`."""


@dataclass(frozen=True)
class FileInMemory:
    """A file in memory, with the part of the `pathlib.Path` interface that readers need.

    The name is for messages; the suffix is the file extension of its format.
    """

    name: str
    suffix: str
    data: bytes = field(repr=False)

    def open(self, mode: Literal["rb"] = "rb") -> io.BytesIO:
        """Return the bytes as a file."""
        return io.BytesIO(self.data)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class ArchiveMember:
    """A file at a path in a zip archive, with the part of `pathlib.Path` that readers need."""

    archive: Path
    path: str

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """File extension with its dot; `pathlib` would be slower."""
        stem, dot, extension = self.name.rpartition(".")
        return dot + extension if stem and extension else ""

    @property
    def stem(self) -> str:
        """The name without extension."""
        return self.name.removesuffix(self.suffix)

    def open(self, mode: Literal["rb"] = "rb") -> io.BufferedReader | io.BytesIO:
        """Open the member.

        A small member is unpacked at once, which is faster; a large one as it is read. Damaged
        bytes raise an `InputError` here or in the file's methods; the check sum is verified at the
        end.
        """
        unpacking = _Unpacking(self)
        if unpacking.size > SMALL_BYTES:
            return io.BufferedReader(unpacking)
        with unpacking:
            return io.BytesIO(unpacking.readall())

    def read_bytes(self) -> bytes:
        """Return the bytes after verifying their check sum; raise an `InputError` if damaged."""
        with self.open() as opened:
            return opened.read()

    def info(self) -> zipfile.ZipInfo:
        """Return what the archive's directory says about the member."""
        return open_archive(self.archive).getinfo(self.path)

    def __str__(self) -> str:
        return f"{self.archive}/{self.path}"


class _Unpacking(io.RawIOBase):
    """The bytes of a member, never more than the declared size, which was checked."""

    def __init__(self, member: ArchiveMember) -> None:
        info, self._where = member.info(), member
        self.size = info.file_size
        with self._input_errors():
            self._member = open_archive(member.archive).open(info)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        return self._read(self.size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with self._input_errors():
            return self._member.seek(offset, whence)

    def tell(self) -> int:
        return self._member.tell()

    def close(self) -> None:
        if not self.closed:
            self._member.close()
        super().close()

    def _read(self, most: int) -> bytes:
        with self._input_errors():
            return self._member.read(min(most, self.size - self._member.tell()))

    @contextmanager
    def _input_errors(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # of damaged bytes zlib and codecs raise what zipfile does not
            problem = f"it cannot be read ({type(error).__name__}: {error})"
            fix = "Download or pack the archive again"
            raise InputError(self._where, problem, fix) from error


File: TypeAlias = Path | ArchiveMember
"""A file on disk or in a zip archive; both have `name`, `stem`, `suffix` and `open("rb")`."""

ReadableFile: TypeAlias = File | FileInMemory
"""A file that the readers of images accept."""


def open_archive(archive: Path) -> zipfile.ZipFile:
    """Open a zip archive once, not once for each of its files."""
    status = archive.stat()
    return _open_archive_of(archive, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=4)
def _open_archive_of(archive: Path, _changed: int, _size: int) -> zipfile.ZipFile:
    return zipfile.ZipFile(archive)


def require_file(path: Path) -> None:
    """Raise an `InputError` if a file that an earlier stage writes does not exist."""
    if not path.is_file():
        fix = "Run the stage that writes it first, or all stages with `kedro run`"
        raise InputError(path, "the file is not there", fix)


def file_size(file: File) -> int:
    """Return the size of a file in bytes, unpacked if it is in an archive."""
    return file.info().file_size if isinstance(file, ArchiveMember) else file.stat().st_size


def file_signature(file: File) -> str:
    """Return a short text that changes when a file changes, without reading the file.

    It consists of the size and the modification time in nanoseconds, or in archives of the size
    and the check sum.
    """
    if isinstance(file, ArchiveMember):
        info = file.info()
        return f"{info.file_size}-{info.CRC:08x}"
    status = file.stat()
    return f"{status.st_size}-{status.st_mtime_ns}"


def hide_home(text: str) -> str:
    """Replace the user's home folder by `~`, also inside JSON, HTML and URLs."""
    home = str(Path.home())
    if len(Path(home).parts) < 2:  # some services have the root as their home
        return text
    for spelling in {home, json.dumps(home)[1:-1], html.escape(home), quote(home)}:
        if spelling in text:
            text = re.sub(rf"(?<!{_NAME}){re.escape(spelling)}(?!{_NAME})", "~", text)
    return text
