"""Keras models on disk, written atomically and loaded in safe mode; and their weights."""

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path

import keras

from unetflow.core.atomic import atomic_write
from unetflow.core.errors import InputError
from unetflow.io.files import require_file

_log = logging.getLogger(__name__)


def save_keras(
    model: keras.Model, path: Path, finish: Callable[[Path], None] | None = None
) -> None:
    """Write a model to a `.keras` file atomically.

    `finish` is called with the temporary file's path before the file is moved to its place.
    """
    with atomic_write(path) as temporary:
        model.save(temporary)
        if finish is not None:
            finish(temporary)


def load_keras(path: Path) -> keras.Model:
    """Read a model from a `.keras` file; safe mode refuses all that would run code from it.

    Raises:
        InputError: The file is missing or cannot be loaded.
    """
    require_file(path)
    try:
        return keras.saving.load_model(path, safe_mode=True)
    except Exception as error:  # Keras raises many types on damaged or unsafe files
        raise InputError(
            path, f"it cannot be loaded as a Keras model ({error})", "Train the model again"
        ) from error


def digest_weights(model: keras.Model) -> str:
    """Return the SHA-256 digest of a model's weights, their dtypes and shapes, in order."""
    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(f"{weight.dtype.name}{weight.shape}".encode())
        digest.update(weight.tobytes())
    return digest.hexdigest()


def copy_matching_weights(unet: keras.Model, trained: keras.Model, source: str) -> None:
    """Start warm: copy the weights of each layer with the same name and the same shapes.

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
