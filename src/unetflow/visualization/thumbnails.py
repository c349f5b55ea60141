"""Small pictures on a page."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unetflow.core.types import Label
from unetflow.visualization.overlays import Picture

_MOST_READ = 8  # old pixels for each new one: a slide scan must not take minutes
_BEST_QUALITY, _LEAST_QUALITY = 85, 25


def shrunk_shape(shape: tuple[int, ...], edge: int) -> tuple[int, int]:
    """Return the height and width of a picture whose longer edge becomes at most `edge`."""
    height, width = shape[:2]
    scale = min(1.0, edge / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def shrink_image(image: NDArray[np.generic], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Shrink an image by averaging areas.

    Args:
        image: `(height, width, channels)`.
        shape: The new height and width, not larger.

    Returns:
        `(*shape, channels)`; of more than four channels the first four.
    """
    step = max(1, max(image.shape[:2]) // (_MOST_READ * max(shape)))
    part = image[::step, ::step, :4]
    shrunk = [
        Image.fromarray(np.ascontiguousarray(part[:, :, channel], np.float32)).resize(
            (shape[1], shape[0]), Image.Resampling.BOX
        )
        for channel in range(part.shape[2])
    ]
    return np.stack([np.asarray(channel) for channel in shrunk], axis=2)


def shrink_label(label: Label, shape: tuple[int, int]) -> Label:
    """Shrink a label: each new pixel is the old one at its centre, for classes have no average."""
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int)
        for new, old in zip(shape, label.shape, strict=True)
    )
    return np.asarray(label[np.ix_(rows, columns)])


def to_address(picture: Picture, most_bytes: int = 16_000) -> str:
    """Return a picture as a data URI.

    JPEG, since noise makes PNG large, in full colour, which keeps outlines crisp. What is large
    all the same is written more coarsely, so that the whole page stays small.
    """
    quality = _BEST_QUALITY
    while len(encoded := _encode(picture, quality)) > most_bytes and quality > _LEAST_QUALITY:
        quality -= 20
    return "data:image/jpeg;base64," + base64.b64encode(encoded).decode()


def _encode(picture: Picture, quality: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()
