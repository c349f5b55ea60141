"""Zip archives, read in place without trusting their content."""

import io
import stat
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar

from unetflow.core.errors import InputError

MAX_MEMBERS = 1_000_000
"""Maximum number of files in an archive."""
MAX_MEMBER_BYTES = 2**30
"""Maximum unpacked size of a member."""
MAX_NAME, MAX_NAME_PART = 2000, 255
"""Maximum number of characters of a path, and of bytes of its parts, as on disks."""
MAX_RATIO, RATIO_FREE_BYTES = 200, 64 * 2**20
"""Maximum ratio of unpacked to packed size, and the unpacked size that is always allowed."""

SMALL_BYTES = 2**18
"""Unpacked size up to which a member is unpacked at once."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class ArchiveMember:
    """A file in a zip archive, with the part of the `pathlib.Path` interface that readers need.

    Attributes:
        archive: The archive.
        path: The file's path in the archive.
    """

    archive: Path
    path: str

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """File extension with its dot."""
        return self.name[self._dot() :]

    @property
    def stem(self) -> str:
        """The name without extension."""
        return self.name[: self._dot()]

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

    def size(self) -> int:
        """Return the unpacked size in bytes."""
        return self._info().file_size

    def signature(self) -> str:
        """Return the size and the check sum, which change with the member."""
        info = self._info()
        return f"{info.file_size}-{info.CRC:08x}"

    def _dot(self) -> int:
        """Return the position of the extension; `pathlib` would be slower."""
        name = self.name
        dot = name.rfind(".")
        return dot if 0 < dot < len(name) - 1 else len(name)

    def _info(self) -> zipfile.ZipInfo:
        return _open_archive(self.archive).getinfo(self.path)

    def __str__(self) -> str:
        return f"{self.archive}/{self.path}"


class _Unpacking(io.RawIOBase):
    """The bytes of a member, never more than the declared size, which was checked."""

    def __init__(self, member: ArchiveMember) -> None:
        self._where = member
        archive = _open_archive(member.archive)
        info = archive.getinfo(member.path)
        self.size = info.file_size
        self._member = self._input_errors(lambda: archive.open(info))

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
        return self._input_errors(lambda: self._member.seek(offset, whence))

    def tell(self) -> int:
        return self._member.tell()

    def close(self) -> None:
        if not self.closed:
            self._member.close()
        super().close()

    def _read(self, most: int) -> bytes:
        return self._input_errors(
            lambda: self._member.read(min(most, self.size - self._member.tell()))
        )

    def _input_errors(self, act: Callable[[], Result]) -> Result:
        try:
            return act()
        except Exception as error:  # of damaged bytes zlib and codecs raise what zipfile does not
            problem = f"it cannot be read ({type(error).__name__}: {error})"
            fix = "Download or pack the archive again"
            raise InputError(self._where, problem, fix) from error


def list_members(archive: Path) -> tuple[list[ArchiveMember], list[InputError]]:
    """List the files of a zip archive from its directory without unpacking.

    Returns:
        The files that can be read, and an error for each file that must not be read: too large,
        compressed by a suspicious ratio or an unusual method, encrypted, a symbolic link, or with
        a path that leads out of the archive.

    Raises:
        InputError: It is not a zip archive, or its directory contradicts itself.
    """
    try:
        infos = [info for info in _open_archive(archive).infolist() if not info.is_dir()]
    except Exception as error:  # zipfile raises anything on damaged bytes, IndexError included
        raise InputError(
            archive, f"it cannot be read as a zip archive ({error})", "Download or pack it again"
        ) from error
    if len(infos) > MAX_MEMBERS:
        raise InputError(archive, f"it holds {len(infos)} files", "Split it into several archives")
    if sum(info.compress_size for info in infos) > archive.stat().st_size:
        raise InputError(
            archive,
            "its files overlap each other, as those of a zip bomb do",
            "Pack it again from its source",
        )
    members, refused, seen = [], [], set()
    fix = "Pack the archive again without it, or unpack it and give the folder"
    for info in infos:
        member = ArchiveMember(archive, info.filename)
        problem = "its name occurs twice" if info.filename in seen else _problem(info)
        seen.add(info.filename)
        if problem:
            refused.append(InputError(member, problem, fix))
        else:
            members.append(member)
    return members, refused


def _problem(info: zipfile.ZipInfo) -> str | None:
    """Return the reason why a member must not be read, or None."""
    parts = info.filename.split("/")
    most = max(RATIO_FREE_BYTES, MAX_RATIO * info.compress_size)
    problems = {
        "its name leads out of the archive": (
            info.filename.startswith("/")
            or ".." in parts
            or "\\" in info.filename
            or ":" in info.filename
        ),
        "its name is not in its simplest form": "" in parts or "." in parts,
        "its name is too long": (
            len(info.filename) > MAX_NAME
            or any(len(part.encode()) > MAX_NAME_PART for part in parts)
        ),
        "it is a symbolic link": stat.S_ISLNK(info.external_attr >> 16),
        "it is encrypted": info.flag_bits & 0x1,
        "its compression method is not deflate": (
            info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        ),
        f"its {info.file_size} bytes are too many": info.file_size > MAX_MEMBER_BYTES,
        f"its {info.file_size} bytes are packed into {info.compress_size}, as in a zip bomb": (
            info.file_size > most
        ),
    }
    return next((problem for problem, applies in problems.items() if applies), None)


def _open_archive(archive: Path) -> zipfile.ZipFile:
    status = archive.stat()
    return _open_archive_of(archive, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=4)  # one archive is opened once, not once for each of its files
def _open_archive_of(archive: Path, _changed: int, _size: int) -> zipfile.ZipFile:
    return zipfile.ZipFile(archive)
