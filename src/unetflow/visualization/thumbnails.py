"""Thumbnails: samples in small, and pictures as data URIs."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unetflow.core.types import Label
from unetflow.data.samples import Sample
from unetflow.visualization.overlays import (
    PREDICTION_COLOUR,
    TRUTH_COLOUR,
    Picture,
    draw_label,
    to_picture,
)

VALIDATION_EDGE = 256
_GAP = 4
_MOST_READ = 8
"""Old pixels for each new one along an axis, so that a slide scan does not take minutes."""
_QUALITIES = (85, 65, 45, 25)


def fit_shape(shape: tuple[int, ...], edge: int, *, enlarge: bool = False) -> tuple[int, int]:
    """Return the height and width of a picture whose longer edge is reduced to `edge`.

    A smaller image (`shape`: height, width, ...) is enlarged to `edge` only if `enlarge` is true.
    """
    height, width = shape[:2]
    scale = edge / max(height, width)
    scale = scale if enlarge else min(1.0, scale)
    return max(1, round(height * scale)), max(1, round(width * scale))


def shrink_image(image: NDArray[np.generic], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Shrink an image `(height, width, channels)` to a smaller height and width by averaging areas.

    At most the first four channels are kept.
    """
    step = max(1, max(image.shape[:2]) // (_MOST_READ * max(shape)))
    channels = np.moveaxis(image[::step, ::step, :4], 2, 0)
    pictures = (Image.fromarray(np.ascontiguousarray(channel, np.float32)) for channel in channels)
    shrunk = (picture.resize((shape[1], shape[0]), Image.Resampling.BOX) for picture in pictures)
    return np.stack([np.asarray(picture) for picture in shrunk], axis=2)


def shrink_label(label: Label, shape: tuple[int, int]) -> Label:
    """Shrink a label by taking the class at the centre of each new pixel."""
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int)
        for new, old in zip(shape, label.shape, strict=True)
    )
    return np.asarray(label[np.ix_(rows, columns)])


def shrink_sample(sample: Sample, edge: int, *labels: Label) -> tuple[Picture, list[Label]]:
    """Return a sample's picture and labels of its size, the longer edge at most `edge` pixels."""
    shape = fit_shape(sample.label.shape, edge)
    picture = to_picture(shrink_image(sample.image, shape))
    return picture, [shrink_label(label, shape) for label in labels]


def draw_validation(sample: Sample, found: Label, classes: int) -> Picture:
    """Draw a sample with its true label on the left and a predicted one on the right.

    The longer edge is reduced to 256 pixels; a white gap of 4 pixels is in the middle.
    """
    picture, (truth, prediction) = shrink_sample(sample, VALIDATION_EDGE, sample.label, found)
    gap = np.full((len(picture), _GAP, 3), 255, np.uint8)
    left = draw_label(picture, truth, classes, TRUTH_COLOUR)
    right = draw_label(picture, prediction, classes, PREDICTION_COLOUR)
    return np.concatenate([left, gap, right], axis=1)


def to_address(picture: Picture, most_bytes: int = 16_000) -> str:
    """Return a picture as a data URI.

    The picture is a JPEG, since noise makes PNG large, without colour subsampling, which keeps
    outlines crisp. Its quality is reduced while it is larger than `most_bytes`, so that the whole
    page stays small.
    """
    for quality in _QUALITIES:
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "JPEG", quality=quality, subsampling=0)
        if len(buffer.getvalue()) <= most_bytes:
            break
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
