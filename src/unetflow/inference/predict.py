"""From a Keras model to a function that tiling can call."""

from collections.abc import Callable

import keras
import numpy as np
from numpy.typing import NDArray

from unetflow.core.types import Predictor
from unetflow.models.device import compiles_with_xla


def as_predictor(model: keras.Model) -> Predictor:
    """Return a function that runs the model on one batch.

    `predict_on_batch` compiles once for each shape and returns at once, where `predict` spends
    tens of milliseconds on every call before it computes anything.
    """
    model.jit_compile = compiles_with_xla()
    predict: Callable[[NDArray[np.generic]], NDArray[np.float32]] = model.predict_on_batch
    return lambda windows: predict(windows.astype(np.float32))
