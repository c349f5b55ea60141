"""How far a long piece of work is, in few lines."""

import time
from collections.abc import Callable

_SHARE = 10
"""Per cent of the work after which a line is due."""
_SECONDS = 30.0
"""Time after which one is due in any case."""


class Progress:
    """Tells every tenth of the work, and every half minute, how much of it is done.

    Args:
        what: What is worked on, the line's beginning.
        tell: Takes the line.
        clock: Tells the time in seconds.
    """

    def __init__(
        self, what: str, tell: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._what, self._tell, self._clock = what, tell, clock
        self._next_share, self._last = _SHARE, clock()

    def __call__(self, done: int, of: int) -> None:
        """Tell it, if a line is due.

        Args:
            done: How many parts are done.
            of: How many there are.
        """
        share, now = 100 * done // of, self._clock()
        if share < self._next_share and now - self._last < _SECONDS:
            return
        self._tell(f"{self._what}: {done} of {of} blocks are done ({share} %)")
        self._next_share, self._last = (share // _SHARE + 1) * _SHARE, now
