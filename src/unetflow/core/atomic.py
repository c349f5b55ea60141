"""Files that are written whole or not at all."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path: Path, *, sync_folder: bool = True) -> Iterator[Path]:
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


def move_into_place(finished: Path, target: Path) -> None:
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
