"""What all runtimes have in common."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from unetflow.core.types import Probabilities

Parts: TypeAlias = Mapping[str, bytes]
"""The files of a network, by their names."""

Identity: TypeAlias = Mapping[str, Any]
"""What changes when a network computes something else, as plain values that JSON can hold."""


class Runtime(ABC):
    """A network that is ready to predict.

    Attributes:
        name: One of `runtimes.RUNTIMES`.
        outputs: Probabilities that it gives for each pixel.
        precision: What it computes in, "float32" or "bfloat16".
        parts: The files that it was started from, from which it starts elsewhere too; None: it was
            started from none.
    """

    name: str
    outputs: int
    precision: str = "float32"
    parts: Parts | None = None

    @property
    @abstractmethod
    def identity(self) -> Identity:
        """What changes when the network computes something else."""

    @abstractmethod
    def __call__(self, windows: NDArray[np.generic]) -> Probabilities:
        """Predict raw images `(batch, height, width, channels)` of any type of number.

        Returns:
            `(batch, height, width, outputs)` float32, smaller by what valid convolutions cut off.
        """


def digest_parts(parts: Parts) -> Identity:
    """Return the digest of each file of a network, by its name."""
    return {name: hashlib.sha256(part).hexdigest() for name, part in sorted(parts.items())}
