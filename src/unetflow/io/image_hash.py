"""Digests of pixels and perceptual hashes of images."""

import hashlib

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unetflow.core.types import PixelArray

_HASHED_EDGE = 64
NO_CONTRAST = "0" * 16
"""The perceptual hash of an image without contrast."""
MIN_CONTRAST = 1e-5
"""Contrast relative to brightness below which it is due to rounding."""


def pixel_digest(image: PixelArray) -> str:
    """Return the SHA-256 digest of an image's shape, type and pixels in hexadecimal.

    The same pixels have the same digest whatever the file format and its byte order.
    """
    pixels = np.ascontiguousarray(image, image.dtype.newbyteorder("<"))
    digest = hashlib.sha256(f"{pixels.shape} {pixels.dtype.name}".encode())
    digest.update(pixels.data)
    return digest.hexdigest()


def perceptual_hash(image: PixelArray) -> str:
    """Return a hash that differs in few bits between images that look alike.

    Source: the DCT hash of N. Krawetz, "Looks Like It", in the implementation of imagehash. The
    image `(height, width, channels)` of uint8, uint16 or finite float32 is first shrunk, which
    averages noise, and scaled to its own range of brightness. The hash has 64 bits as 16
    hexadecimal digits; they are 0 for an image of one value.
    """
    grey = (255 * shrink(image, _HASHED_EDGE)).round().astype(np.uint8)
    return str(imagehash.phash(Image.fromarray(grey))) if grey.any() else NO_CONTRAST


def shrink(image: PixelArray, edge: int) -> NDArray[np.float32]:
    """Return a square grey image with values from 0 to 1, all 0 without contrast.

    The range is that of nearly all pixels, so that hot pixels do not determine it.
    """
    channels = image.shape[2]
    grey = image.astype(np.float32) @ np.full(channels, 1 / channels, np.float32)
    resized = Image.fromarray(grey).resize((edge, edge), Image.Resampling.BOX)
    small = np.asarray(resized, np.float32)
    low, high = np.percentile(small, (0.5, 99.5))
    if _is_faint(low, high):  # all visible structure is smaller than the part left out
        low, high = small.min(), small.max()
    if _is_faint(low, high):
        return np.zeros_like(small)
    scaled: NDArray[np.float32] = np.clip((small - low) / (high - low), 0, 1)
    return scaled


def _is_faint(low: float, high: float) -> bool:
    return bool(high - low <= MIN_CONTRAST * max(abs(low), abs(high)))
