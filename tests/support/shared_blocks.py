"""Models for workers of Dask, which must be able to import what makes them."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tests.support.cluster_tasks import begin
from tests.support.large_files import CLEANING
from unetflow.inference.blockwise.blocks import BlockModel


def pack(name: str) -> Callable[[], str]:
    """Return what gives a name in another process."""
    return name.strip


@dataclass(frozen=True)
class NotingModel:
    """Makes a cheap model that leaves a note of each batch that it predicts.

    Attributes:
        folder: Of the notes.
        hold: See `cluster_jobs.begin`.
    """

    folder: Path
    hold: int | None = None

    def __call__(self, name: str) -> BlockModel:
        def predict(batch):
            begin(self.folder, hashlib.sha256(batch).hexdigest()[:12], self.hold)
            return CLEANING.predictor(batch)

        return replace(CLEANING, predictor=predict)
