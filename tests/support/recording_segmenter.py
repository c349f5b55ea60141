"""A segmenter without a network that writes notes, for the workers of a Dask cluster."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.support.cluster_tasks import begin
from tests.support.segmenter_settings import make_settings
from unetflow.core.geometry import Geometry
from unetflow.inference.runtimes.runtime import Runtime
from unetflow.inference.segmenter import Segmenter

SETTINGS = make_settings(
    ["background", "cell"], 0.5, 1, "uint8", Geometry(4, 0, 0, 4), 128, min_object_size=4
)


@dataclass
class Brightness(Runtime):
    """Returns the brightness of pixels as their probability.

    Attributes:
        folder: Of the notes.
        hold: See `cluster_tasks.begin`.
    """

    folder: Path
    hold: int | None = None

    name, outputs, identity = "brightness", 1, {"kind": "brightness"}

    def __call__(self, windows):
        begin(self.folder, hashlib.sha256(windows).hexdigest()[:12], self.hold)
        return windows[..., :1].astype(np.float32) / np.float32(255)


@dataclass(frozen=True)
class MakeSegmenter:
    folder: Path
    hold: int | None = None

    def __call__(self) -> Segmenter:
        return Segmenter(Brightness(self.folder, self.hold), SETTINGS)


def serialise(segmenter: Segmenter) -> Callable[[], Segmenter]:
    return MakeSegmenter(segmenter.runtime.folder, segmenter.runtime.hold)
