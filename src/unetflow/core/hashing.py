"""Digests of files."""

import hashlib
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol


class Openable(Protocol):
    """A file on disk or in an archive."""

    def open(self, mode: Literal["rb"]) -> AbstractContextManager[Any]:
        """Open the file."""


def sha256(file: Openable) -> str:
    """Return the SHA-256 digest of a file's bytes in hexadecimal."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
