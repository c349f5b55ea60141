"""Segmenters without a network for the workers of a Dask cluster, which import this module."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.support.cluster_tasks import begin
from tests.support.large_files import BoxFilter, cheap_segmenter
from unetflow.inference.segmenter import Segmenter


@dataclass
class NotingFilter(BoxFilter):
    """Writes a note of each batch that it predicts.

    Attributes:
        folder: Of the notes; None: there are none.
        hold: See `cluster_tasks.begin`.
    """

    folder: Path | None = None
    hold: int | None = None

    def __call__(self, windows):
        if self.folder is not None:
            begin(self.folder, hashlib.sha256(windows).hexdigest()[:12], self.hold)
        return super().__call__(windows)


def noting_segmenter(folder: Path | None = None, hold: int | None = None) -> Segmenter:
    """Return a segmenter whose blocks are single windows where blocks are short."""
    runtime = NotingFilter(folder=folder, hold=hold)
    return cheap_segmenter(
        tile=64, runtime=runtime, temperature=1.7, threshold=0.45, min_object_size=25
    )


def serialise(segmenter: Segmenter) -> Callable[[], Segmenter]:
    """Return a picklable function that returns the same segmenter."""
    return partial(noting_segmenter, segmenter.runtime.folder, segmenter.runtime.hold)
