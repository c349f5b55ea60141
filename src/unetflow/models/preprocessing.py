"""A network together with the scaling of its input."""

import keras
import numpy as np
from keras import layers

from unetflow.data.intensity import IntensityRange


def with_preprocessing(unet: keras.Model, intensity: IntensityRange) -> keras.Model:
    """Put the scaling of raw intensities in front of a network.

    The result computes what `data.intensity.normalise` does and then the network. It is made
    of Keras's own layers alone, and carries neither the loss nor the optimiser that the network was
    trained with, so that plain Keras can load it.

    Args:
        unet: Takes images in [0, 1].
        intensity: What becomes 0 and 1.

    Returns:
        A model of images at their source's intensities, with a copy of the network's weights.
    """
    low = np.asarray(intensity.low, np.float64)
    scale = 1 / (np.asarray(intensity.high, np.float64) - low)
    inputs = keras.Input(unet.input_shape[1:], name="raw_image")
    # First subtract, then scale: in one step large numbers would lose their last digits.
    x = layers.Rescaling(1.0, (-low).tolist(), name="subtract")(inputs)
    x = layers.Rescaling(scale.tolist(), name="scale")(x)
    x = layers.ReLU(max_value=1.0, name="clip")(x)
    uncompiled = keras.Model.from_config(unet.get_config())  # `clone_model` would keep the loss
    uncompiled.set_weights(unet.get_weights())
    return keras.Model(inputs, uncompiled(x), name="segmenter")
