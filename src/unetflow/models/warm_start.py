"""Warm start: initial weights from a trained network."""

import logging

import keras

from unetflow.core.errors import InputError

_log = logging.getLogger(__name__)


def copy_matching_weights(unet: keras.Model, trained: keras.Model, source: str) -> None:
    """Copy the weights of each layer with the same name and the same shapes.

    Other layers keep their initial weights, for example a head for other classes or a first layer
    for another number of channels.

    Args:
        unet: The network to initialise in place, made by `build_unet`.
        trained: A network made by `build_unet`, with or without preprocessing in front.
        source: Where `trained` comes from, for messages.

    Raises:
        InputError: No layer matches.

    Example:
        ```python
        unet = build_unet((None, None, 3), base_filters=16, classes=4)
        copy_matching_weights(unet, load_keras(path), str(path))
        ```
    """
    inner = [layer for layer in trained.layers if isinstance(layer, keras.Model)]
    network = inner[0] if inner else trained
    known = {layer.name: layer for layer in network.layers if layer.weights}
    own = [layer for layer in unet.layers if layer.weights]
    initial = []
    for layer in own:
        other = known.get(layer.name)
        if other is None or _shapes(other) != _shapes(layer):
            initial.append(layer.name)
        else:
            layer.set_weights(other.get_weights())
    if len(initial) == len(own):
        raise InputError(
            source,
            "none of its layers matches the network",
            "Give a model that was trained with the same `construction`, or train without one",
        )
    _log.info(
        "Copied the weights of %s to %d of %d layers%s",
        source,
        len(own) - len(initial),
        len(own),
        f"; initial weights: {', '.join(initial)}" if initial else "",
    )


def _shapes(layer: keras.layers.Layer) -> list[tuple[int, ...]]:
    return [tuple(weight.shape) for weight in layer.weights]
