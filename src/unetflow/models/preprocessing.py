"""The scaling of raw intensities as layers in front of a network."""

import keras
import numpy as np
from keras import layers

from unetflow.data.intensity import IntensityRange


def with_preprocessing(unet: keras.Model, intensity: IntensityRange) -> keras.Model:
    """Put the scaling of raw intensities in front of a copy of a network.

    The result computes `data.intensity.normalise`, then the network. It consists of Keras's own
    layers and has neither loss nor optimiser, so that plain Keras loads it.

    Args:
        unet: A network for images in [0, 1], whose weights are copied.
        intensity: The intensities that become 0 and 1, per channel.

    Example:
        ```python
        unet = build_unet((None, None, 1), base_filters=16)
        with_preprocessing(unet, IntensityRange([0.0], [255.0]))
        ```
    """
    low = np.asarray(intensity.low, np.float64)
    scale = 1 / (np.asarray(intensity.high, np.float64) - low)
    inputs = keras.Input(unet.input_shape[1:], name="raw_image")
    # Subtracting first keeps the last digits of large intensities.
    x = layers.Rescaling(1.0, (-low).tolist(), name="subtract")(inputs)
    x = layers.Rescaling(scale.tolist(), name="scale")(x)
    x = layers.ReLU(max_value=1.0, name="clip")(x)
    copy = keras.Model.from_config(unet.get_config())  # `clone_model` would keep the loss
    copy.set_weights(unet.get_weights())
    return keras.Model(inputs, copy(x), name="segmenter")
