"""Keras models as functions that tiling calls."""

from collections.abc import Callable

import keras
import numpy as np
from numpy.typing import NDArray

from unetflow.core.types import Predictor
from unetflow.models.device import compiles_with_xla


def as_predictor(model: keras.Model) -> Predictor:
    """Return a function that predicts one batch.

    `predict_on_batch` compiles once for each shape; `predict` has an overhead of tens of
    milliseconds in every call.
    """
    model.jit_compile = compiles_with_xla()
    predict: Callable[[NDArray[np.generic]], NDArray[np.float32]] = model.predict_on_batch
    return lambda windows: predict(windows.astype(np.float32))
