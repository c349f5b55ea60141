"""Small trees of images and masks, as in common data sets."""

import zlib
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from unetflow.annotations.autodetect.detect_layout import find_candidates
from unetflow.annotations.layouts.find_pairs import find_pairs

EDGE = 16


def noise(path, shape=(EDGE, EDGE)):
    """Return pixels that look like an image; the same for the same name."""
    return np.random.default_rng(zlib.crc32(str(path).encode())).integers(0, 256, shape, np.uint8)


def blob(value=255, edge=EDGE):
    """Return pixels that look like a mask."""
    pixels = np.zeros((edge, edge), np.uint8)
    pixels[edge // 4 : edge // 2, edge // 4 : 3 * edge // 4] = value
    return pixels


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() in (".tif", ".tiff"):
        tifffile.imwrite(path, pixels, photometric="minisblack")
    else:
        Image.fromarray(pixels).save(path)


def make(root: Path, images, masks=()):
    """Write files that look like images and files that look like masks."""
    for name in images:
        save(root / name, noise(name))
    for name in masks:
        save(root / name, blob())
    return root


def names(pattern, *choices):
    """Return a pattern filled with each choice, or with each of several values."""
    return [pattern.format(*(c if isinstance(c, tuple) else (c,))) for c in choices]


def pairs_of(root, candidate):
    """Return the mask of each image, as a candidate says, by their paths below the root."""
    pairing = find_pairs(root, candidate.layout, candidate.options, candidate.splits)
    assert len(pairing.pairs) == candidate.n_pairs
    return {
        pair.image.file.relative_to(root).as_posix(): [
            file.relative_to(root).as_posix() for file in pair.annotation.files
        ]
        for pair in pairing.pairs
    }


def find_only_candidate(root):
    """Return the one candidate that there is."""
    (candidate,) = find_candidates(root)
    return candidate
