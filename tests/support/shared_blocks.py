"""Models for the workers of a Dask cluster, which import this module."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tests.support.cluster_tasks import begin
from tests.support.large_files import cheap_model
from unetflow.inference.blockwise.prediction import BlockModel

MODEL = cheap_model(temperature=1.7, threshold=0.45, min_object_size=25, tile=64)
"""A model whose blocks are single windows where blocks are short."""


def serialise(name: str) -> Callable[[], str]:
    """Return a picklable function that returns the name."""
    return name.strip


@dataclass(frozen=True)
class NotingModel:
    """Returns a cheap model that writes a note of each batch that it predicts.

    Attributes:
        folder: Of the notes.
        hold: See `cluster_tasks.begin`.
    """

    folder: Path
    hold: int | None = None

    def __call__(self, name: str) -> BlockModel:
        def predict(batch):
            begin(self.folder, hashlib.sha256(batch).hexdigest()[:12], self.hold)
            return MODEL.predictor(batch)

        return replace(MODEL, predictor=predict)
