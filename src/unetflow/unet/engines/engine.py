"""What all engines have in common."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from unetflow.imaging.tiling import Probabilities

Parts: TypeAlias = Mapping[str, bytes]
"""The files of a network, by their names."""


class Engine(ABC):
    """A network that is ready to predict.

    Attributes:
        name: One of `engines.ENGINES`.
        outputs: Probabilities that it gives for each pixel.
        precision: What it computes in, "float32" or "bfloat16".
        parts: The files that it was started from; empty for Keras.
    """

    name: str
    outputs: int
    precision: str = "float32"
    parts: Parts = MappingProxyType({})

    @abstractmethod
    def __call__(self, windows: NDArray[np.generic]) -> Probabilities:
        """Predict raw images `(batch, height, width, channels)` of any type of number.

        Returns:
            `(batch, height, width, outputs)` float32, smaller by what valid convolutions cut off.
        """
