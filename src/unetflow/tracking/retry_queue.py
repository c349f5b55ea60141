"""The way of records to MLflow, which may be out of reach for a while."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

_log = logging.getLogger(__name__)

PAUSE = 60.0
"""Seconds without a new attempt after one that failed, so that a training is hardly held up."""

_FAILURES_AT_THE_END = 3
"""Attempts that may fail at the end before the rest is given up."""


@dataclass(frozen=True)
class _Record:
    what: str
    deliver: Callable[[], object]


class Delivery:
    """Carries records to MLflow in their order.

    A record that does not get through neither stops the run, which may have trained for hours, nor
    is it forgotten: a warning says so, and it is tried again with a later record and at the end.
    Everything but the parameters and tags is in the run's files too.
    """

    def __init__(self) -> None:
        self._waiting: list[_Record] = []
        self._again_at = 0.0

    def carry(self, what: str, deliver: Callable[[], object]) -> None:
        """Deliver a record now or later.

        Args:
            what: What it is, for messages.
            deliver: Brings it to MLflow; it may be called again after it has failed.
        """
        self._waiting.append(_Record(what, deliver))
        if time.monotonic() < self._again_at:
            return
        late = len(self._waiting) - 1
        if self._deliver(failures=1) and late:
            _log.info("MLflow takes records again: %d are delivered late", late)

    def finish(self) -> list[str]:
        """Try a last time, and return what is lost."""
        self._deliver(_FAILURES_AT_THE_END)
        lost = [record.what for record in self._waiting]
        self._waiting = []
        return lost

    def _deliver(self, failures: int) -> bool:
        """Deliver what waits until so many attempts have failed; tell whether all got through."""
        refused: list[_Record] = []
        while self._waiting and len(refused) < failures:
            record = self._waiting.pop(0)
            try:
                record.deliver()
            except Exception as error:  # each store of artifacts raises errors of its own
                refused.append(record)
                self._again_at = time.monotonic() + PAUSE
                _log.warning(
                    "MLflow did not take %s (%s: %s). The run goes on, and tries again later",
                    record.what,
                    type(error).__name__,
                    error,
                )
        # What was refused goes to the end: one bad record must not keep back all others.
        self._waiting += refused
        return not self._waiting
