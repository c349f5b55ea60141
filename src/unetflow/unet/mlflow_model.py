"""The segmenter as an MLflow pyfunc model, loaded without any pickle."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetflow.imaging.labels import Label
from unetflow.unet.segmenter import Segmenter


class PyfuncSegmenter:
    """What MLflow calls.

    Args:
        segmenter: The finished segmenter.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter

    def predict(
        self, model_input: NDArray[np.generic], params: dict[str, Any] | None = None
    ) -> Label:
        """Segment a batch of raw images of one size.

        Args:
            model_input: `(batch, height, width, channels)`.
            params: Not used; MLflow passes it.

        Returns:
            `(batch, height, width)` uint8, class indices.
        """
        return np.stack([self._segmenter.predict(image) for image in model_input])


def _load_pyfunc(data_path: str) -> PyfuncSegmenter:
    """Load the model; MLflow finds this function by its name."""
    return PyfuncSegmenter(Segmenter.load(Path(data_path)))
