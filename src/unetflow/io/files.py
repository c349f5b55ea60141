"""Files on disk, in archives and in memory: signatures, sizes, and names for messages."""

import html
import io
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import quote

from unetflow.core.errors import InputError
from unetflow.io.archive import ArchiveMember

_NAME = r"[\w.-]"
"""Characters of file names: `/home/ann` must not match within `/home/anna`."""


@dataclass(frozen=True)
class FileInMemory:
    """A file in memory, with the part of the `pathlib.Path` interface that readers need.

    Attributes:
        name: Name for messages.
        suffix: File extension of its format.
        data: The bytes.
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
"""A file that the readers of images accept."""


def require_file(path: Path) -> None:
    """Raise an `InputError` if a file that an earlier stage writes does not exist."""
    if not path.is_file():
        raise InputError(
            path,
            "the file is not there",
            "Run the stage that writes it first, or all stages with `kedro run`",
        )


def file_size(file: File) -> int:
    """Return the size of a file in bytes, unpacked if it is in an archive."""
    return file.size() if isinstance(file, ArchiveMember) else file.stat().st_size


def file_signature(file: File) -> str:
    """Return a short text that changes when a file changes, without reading the file.

    It consists of the size and the modification time in nanoseconds, or in archives of the size
    and the check sum.
    """
    if isinstance(file, ArchiveMember):
        return file.signature()
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
