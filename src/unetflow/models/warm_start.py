"""Beginning with what another network has learnt."""

import logging

import keras

from unetflow.core.errors import InputError

_log = logging.getLogger(__name__)


def take_weights(unet: keras.Model, trained: keras.Model, where: str) -> None:
    """Give a network the weights of another one, layer by layer.

    A layer takes the weights of the layer of the same name if all have the same shapes; the others
    keep their initial ones, such as a head for other classes or a first layer for other channels.

    Args:
        unet: The network to begin with, as `build_unet` made it.
        trained: A network as `build_unet` made it, or one with preprocessing in front of it.
        where: Where `trained` comes from, for messages.

    Raises:
        InputError: No layer fits.
    """
    source = _find_unet(trained)
    known = {layer.name: layer for layer in source.layers if layer.weights}
    own = [layer for layer in unet.layers if layer.weights]
    fresh = []
    for layer in own:
        other = known.get(layer.name)
        if other is None or _shapes(other) != _shapes(layer):
            fresh.append(layer.name)
        else:
            layer.set_weights(other.get_weights())
    if len(fresh) == len(own):
        raise InputError(
            where,
            "none of its layers fits the network",
            "Give a model that was trained with the same `construction`, or begin without one",
        )
    _log.info(
        "Began with the weights of %s in %d of %d layers%s",
        where,
        len(own) - len(fresh),
        len(own),
        f"; afresh: {', '.join(fresh)}" if fresh else "",
    )


def _find_unet(trained: keras.Model) -> keras.Model:
    inner = [layer for layer in trained.layers if isinstance(layer, keras.Model)]
    return inner[0] if inner else trained


def _shapes(layer: keras.layers.Layer) -> list[tuple[int, ...]]:
    return [tuple(weight.shape) for weight in layer.weights]
