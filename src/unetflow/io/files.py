"""Files: telling whether they changed, and writing them so that a crash leaves none half done."""

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


def require_file(path: Path) -> None:
    """Raise an `InputError` when a file that an earlier stage writes is not there."""
    if not path.is_file():
        raise InputError(
            path,
            "the file is not there",
            "Run the stage that writes it first, or the whole chain with `kedro run`",
        )


def file_size(file: File) -> int:
    """Return a file's size in bytes; a packed file's unpacked size."""
    return file.size() if isinstance(file, ArchiveMember) else file.stat().st_size


def file_signature(file: File) -> str:
    """Return a short text that changes when a file changes, without reading the file.

    Of a file on disk it is the size and the time of the last change in nanoseconds, of a file in
    an archive its size and check sum.
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
