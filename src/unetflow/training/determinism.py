"""Bit-identical repetition of a training."""

from typing import Any

import keras
from keras import layers

from unetflow.core.hashing import generator_for


def make_deterministic(unet: keras.Model, seed: int) -> None:
    """Make the training a pure function of the seed.

    TensorFlow uses deterministic operations from now on in this process. A network that was read
    from a file has lost the seeds of its dropout, which are therefore derived from this seed.

    Args:
        unet: The network that will be trained.
        seed: Seed of dropout, too.
    """
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow

        tensorflow.config.experimental.enable_op_determinism()
    for number, state in enumerate(dropout_states(unet)):
        first = int(generator_for(seed, "dropout", number).integers(2**31))
        state.assign([first, 0])


def dropout_states(unet: keras.Model) -> list[Any]:
    """Return the variables with the random state of each dropout layer."""
    dropouts = (layer for layer in unet.layers if isinstance(layer, layers.Dropout))
    return [layer.seed_generator.state for layer in dropouts if layer.rate > 0]
