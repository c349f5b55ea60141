"""One process at a time writes a target."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from unetflow.core.errors import InputError


@contextmanager
def alone_with(*targets: Path | None) -> Iterator[None]:
    """Keep other processes from writing the same targets while the block runs.

    The system frees the lock of a process that ends in whatever way, so that a killed one stops
    nobody; its hidden file stays until the next one has finished.

    Args:
        *targets: The files or folders; None is passed over.

    Raises:
        InputError: Another process is writing one of them.
    """
    with ExitStack() as held:
        for target in filter(None, targets):
            held.enter_context(_alone_with_one(target))
        yield


@contextmanager
def _alone_with_one(target: Path) -> Iterator[None]:
    target.parent.mkdir(parents=True, exist_ok=True)
    file = target.with_name(f".{target.name}.lock")
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise InputError(
            target,
            "another process is writing it",
            "Wait until that has ended, or give this one another target",
        ) from error
    try:
        yield
    finally:
        # While it is held: who has opened it meanwhile sees that it is gone, and takes a new one.
        with suppress(OSError):  # Windows removes no open file
            file.unlink()
        lock.release()
