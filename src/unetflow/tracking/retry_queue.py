"""Queue of records for MLflow, which may be unreachable for a while."""

import logging
import time
from collections.abc import Callable

_log = logging.getLogger(__name__)

PAUSE = 60.0
"""Seconds without a new attempt after a failed one, so that a training is not held up."""

_Record = tuple[str, Callable[[], object]]
"""Its name for messages, and what sends it."""

_FAILURES_AT_THE_END = 3
"""Failed attempts after which `flush` gives up."""


class RetryQueue:
    """Sends records to MLflow in order.

    A record that fails does not stop the run, which may have trained for hours. It is logged as a
    warning and sent again with a later record and at the end.
    """

    def __init__(self) -> None:
        self._waiting: list[_Record] = []
        self._retry_at = 0.0

    def submit(self, what: str, send: Callable[[], object]) -> None:
        """Send a record now or later.

        Args:
            what: Name of the record, for messages.
            send: Sends the record; it may be called again after it has failed.
        """
        self._waiting.append((what, send))
        if time.monotonic() < self._retry_at:
            return
        late = len(self._waiting) - 1
        if self._send(failures=1) and late:
            _log.info("MLflow accepts records again: %d are sent late", late)

    def flush(self) -> list[str]:
        """Send what waits a last time, and return the names of the records that are lost."""
        self._send(_FAILURES_AT_THE_END)
        lost = [what for what, _ in self._waiting]
        self._waiting = []
        return lost

    def _send(self, failures: int) -> bool:
        """Send until so many attempts have failed; return whether nothing waits any more."""
        failed: list[_Record] = []
        while self._waiting and len(failed) < failures:
            what, send = self._waiting.pop(0)
            try:
                send()
            except Exception as error:  # each artifact store raises errors of its own
                failed.append((what, send))
                self._retry_at = time.monotonic() + PAUSE
                message = "MLflow did not accept %s (%s: %s). The run continues, and retries later"
                _log.warning(message, what, type(error).__name__, error)
        # Failed records go to the end, so that one bad record does not hold back all others.
        self._waiting += failed
        return not self._waiting
