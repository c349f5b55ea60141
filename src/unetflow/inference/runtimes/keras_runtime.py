"""The runtime of Keras itself."""

import hashlib
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from unetflow.core.types import Predictor, Probabilities
from unetflow.inference.runtimes.runtime import Identity, Runtime

if TYPE_CHECKING:
    import keras


class KerasRuntime(Runtime):
    """A Keras model.

    Args:
        model: From raw images to probabilities.
    """

    name = "keras"

    def __init__(self, model: "keras.Model") -> None:
        from unetflow.inference.predict import as_predictor

        self.model = model
        self.outputs = int(model.output_shape[-1])
        self._predict: Predictor = as_predictor(model)

    @property
    def identity(self) -> Identity:
        """Digests of the weights and of the layers, some of which have no weights."""
        from unetflow.models.keras_io import digest_weights

        layers = hashlib.sha256(self.model.to_json().encode()).hexdigest()
        return {"weights": digest_weights(self.model), "layers": layers}

    def __call__(self, windows: NDArray[np.generic]) -> Probabilities:
        """Predict raw images; see `Runtime`."""
        return self._predict(windows)
