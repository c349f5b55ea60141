"""Keras models on disk: `.keras` files, written atomically and loaded in safe mode."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import keras

from unetflow.core.atomic import atomic_write
from unetflow.core.errors import InputError
from unetflow.io.files import require_file


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
