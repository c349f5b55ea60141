"""Digests of files, and random generators that depend only on a key."""

import hashlib
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol

import numpy as np


class Openable(Protocol):
    """A file on disk or in an archive."""

    def open(self, mode: Literal["rb"]) -> AbstractContextManager[Any]:
        """Open the file."""


def sha256(file: Openable) -> str:
    """Return the SHA-256 digest of a file's bytes in hexadecimal."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def generator_for(*key: object) -> np.random.Generator:
    """Return a random generator that is a pure function of the key.

    The key is hashed by BLAKE2, because Python's `hash` differs between processes.
    """
    text = "\x1f".join(str(part) for part in key)
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest))
