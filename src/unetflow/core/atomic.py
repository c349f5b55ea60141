"""Atomic file writes: a file is replaced completely or not at all."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path: Path, *, sync_folder: bool = True) -> Iterator[Path]:
    """Yield a temporary path to write to, with the same folder and extension.

    It is synced and renamed to `path`, whose missing folders are created, when the block ends, and
    removed when the block raises. `sync_folder`: whether the new name must be on the disk, too; not
    needed if another file of the same folder follows.
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


def move_into_place(finished: Path, target: Path) -> None:
    """Rename a finished file or folder on the target's disk, and wait until it is on the disk.

    Missing folders are created. A folder cannot replace another one, so that one is first moved
    next to the finished one under a hidden name.
    """
    for path in [*(finished.rglob("*") if finished.is_dir() else ()), finished]:
        _sync(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir():
        os.replace(target, finished.with_name(f".{uuid.uuid4().hex[:12]}.{finished.name}"))
    os.replace(finished, target)
    _sync(target.parent)


def _sync(path: Path) -> None:
    """Wait until the file or folder is on the disk; Windows cannot sync folders."""
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
