"""Base class of all runtimes."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from unetflow.core.types import Probabilities

Parts: TypeAlias = Mapping[str, bytes]
"""The files of a network by name."""

Identity: TypeAlias = Mapping[str, Any]
"""Values for JSON that differ when networks compute something else."""


class Runtime(ABC):
    """A loaded network.

    Attributes:
        name: One of `registry.RUNTIMES`.
        outputs: Probabilities for each pixel.
        precision: Precision of the computation, "float32" or "bfloat16".
        parts: The files that it was loaded from; None for a Keras model.
    """

    name: str
    outputs: int
    precision: str = "float32"
    parts: Parts | None = None

    @property
    @abstractmethod
    def identity(self) -> Identity:
        """Values that differ when networks compute something else."""

    @abstractmethod
    def __call__(self, windows: NDArray[np.generic]) -> Probabilities:
        """Predict raw images `(batch, height, width, channels)` of any dtype.

        Returns:
            `(batch, height, width, outputs)` float32, smaller by the margin of valid convolutions.
        """


def digest_parts(parts: Parts) -> Identity:
    """Return the SHA-256 of each file of a network by name."""
    return {name: hashlib.sha256(part).hexdigest() for name, part in sorted(parts.items())}
