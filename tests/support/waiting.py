"""Waiting for other processes, with a limit, and moments of random kills that can be repeated."""

import os
import random
import time
from collections.abc import Callable

LIMIT = 300.0
"""Seconds. Generous: a process can be slow on a busy machine, and only a hanging one reaches it."""

SEED = "UNETFLOW_TEST_SEED"
"""Environment variable that repeats the random moments of an earlier run."""


def wait_until(condition: Callable[[], object], pause: float = 0.001) -> None:
    """Wait until a condition holds.

    Args:
        condition: Is called again and again.
        pause: Between two calls, in seconds.

    Raises:
        AssertionError: It does not hold within the limit.
    """
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end, f"nothing has happened for {LIMIT:.0f} seconds"
        time.sleep(pause)


def pause_randomly(longest: float) -> None:
    """Wait for a random time, and print the seed that repeats it.

    Args:
        longest: In seconds.
    """
    seed = os.environ.get(SEED) or str(random.SystemRandom().getrandbits(32))
    print(f"{SEED}={seed}")  # noqa: T201 -- pytest shows it where the test fails
    time.sleep(random.Random(seed).uniform(0, longest))  # noqa: S311 -- not a secret
