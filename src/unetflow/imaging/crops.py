"""Random crops that depend on the seed, the epoch and the sample alone."""

import hashlib

import numpy as np
from numpy.typing import NDArray

from unetflow.imaging.labels import IGNORE
from unetflow.imaging.samples import Sample


def generator_for(*key: object) -> np.random.Generator:
    """Return a random generator that is a pure function of the key.

    Python's own `hash` differs from process to process, hence the digest.
    """
    text = "\x1f".join(str(part) for part in key)
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest))


def draw_crop(sample: Sample, size: int, random: np.random.Generator) -> Sample:
    """Cut a square at a random place out of a sample.

    Args:
        sample: The sample; only the crop's pixels are read from its memory maps.
        size: Edge of the square in pixels. Where the sample is smaller, the image is continued
            by mirroring and the label by 255, so that nothing invented is learnt.
        random: Where the place comes from.

    Returns:
        A crop in memory: image `(size, size, channels)`, label `(size, size)`.
    """
    height, width = sample.label.shape
    top = int(random.integers(max(height - size, 0) + 1))
    left = int(random.integers(max(width - size, 0) + 1))
    window = np.s_[top : top + size, left : left + size]
    image, label = np.array(sample.image[window]), np.array(sample.label[window])
    padding = [(0, size - label.shape[0]), (0, size - label.shape[1])]
    if any(after for _, after in padding):
        image = pad_mirrored(image, padding[0], padding[1])
        label = np.pad(label, padding, constant_values=IGNORE)
    return Sample(image, label)


def pad_mirrored(
    image: NDArray[np.generic], rows: tuple[int, int], columns: tuple[int, int]
) -> NDArray[np.generic]:
    """Continue an image beyond its borders by mirroring it, the border itself not doubled.

    Args:
        image: `(height, width, channels)`.
        rows: Rows to add above and below.
        columns: Columns to add on the left and on the right.

    Returns:
        The larger image. A mirror longer than the image goes back and forth; one pixel repeats.
    """
    return np.pad(image, (rows, columns, (0, 0)), mode="reflect")
