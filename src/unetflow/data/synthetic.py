"""Synthetic microscope images of cell nuclei with their true labels."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy
import skimage as ski
from numpy.typing import NDArray

from unetflow.core.hashing import generator_for
from unetflow.io.tiff_writer import write_tiff

FULL_WELL = 4000.0  # photons of the brightest nucleus; determines the shot noise
GAIN = 10.0  # grey values per photon
OFFSET = 400.0  # grey value without light

PixelIndices = tuple[NDArray[np.intp], NDArray[np.intp]]


class SyntheticImage(NamedTuple):
    """A synthetic image and its nuclei by number, 0 for background, both `(size, size)`."""

    image: NDArray[np.uint16]
    instances: NDArray[np.uint16]


def write_synthetic_images(folder: Path, count: int, size: int, seed: int) -> None:
    """Write `images/nuclei_000.tif` and so on, and `masks/` with the same names.

    Each file is written in one step, a mask before its image, so that a killed run leaves no image
    without a mask. Existing pairs are kept. `size` is the edge of an image in pixels.
    """
    for number in range(count):
        name = f"nuclei_{number:03d}.tif"
        image, mask = folder / "images" / name, folder / "masks" / name
        if image.exists() and mask.exists():
            continue
        made = draw_nuclei(size, generator_for("demo", seed, number))
        write_tiff(mask, made.instances)
        write_tiff(image, made.image)


def draw_nuclei(size: int, random: np.random.Generator) -> SyntheticImage:
    """Simulate one fluorescence image whose edge is `size` pixels.

    The light is the sum of an uneven background, nuclei of very different brightness in touching
    and overlapping groups, and debris (specks and fibres). Then follow the blur of an imperfect
    focus, the shot noise of the photons and the noise of the camera.
    """
    instances = np.zeros((size, size), np.uint16)
    light = _uneven_background(size, random)
    texture = 1 + 0.25 * _smooth_noise(size, 2.5, random)
    for number, outline in enumerate(_nuclei(size, random), start=1):
        brightness = np.exp(random.uniform(np.log(0.15), np.log(0.9)))
        covered = np.where(instances[outline] > 0, 0.6, 1.0)  # nuclei below are dimmed
        light[outline] = light[outline] * covered + brightness * texture[outline]
        instances[outline] = number
    light += _debris(size, random)
    focus = random.uniform(0.7, 2.0)
    exposure = np.exp(random.uniform(np.log(0.03), np.log(0.3)))
    blurred = scipy.ndimage.gaussian_filter(np.maximum(light, 0), focus)
    photons = random.poisson(blurred * FULL_WELL * exposure)
    grey = OFFSET + GAIN * (photons + random.normal(0, 2, photons.shape))
    return SyntheticImage(np.clip(grey, 0, 65535).round().astype(np.uint16), instances)


def _nuclei(size: int, random: np.random.Generator) -> Iterator[PixelIndices]:
    """Yield the pixels of each nucleus, group by group."""
    for _ in range(max(1, round(random.uniform(4, 11) * (size / 256) ** 2))):
        centre = random.uniform(0, size, 2)
        for _ in range(int(random.integers(1, 6))):
            yield _irregular_ellipse(centre + random.normal(0, 18, 2), size, random)


def _irregular_ellipse(
    centre: NDArray[np.float64], size: int, random: np.random.Generator
) -> PixelIndices:
    """Return the pixels of a filled ellipse with a slightly irregular edge."""
    angle = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    turn, stretch = random.uniform(0, np.pi), random.uniform(1.0, 1.6)
    edge = 1 / np.sqrt(np.cos(angle - turn) ** 2 / stretch + np.sin(angle - turn) ** 2 * stretch)
    for waves in (2, 3, 4):
        edge += random.normal(0, 0.05) * np.cos(waves * angle + random.uniform(0, 2 * np.pi))
    edge *= random.uniform(8, 17)
    rows, columns = centre[0] + edge * np.sin(angle), centre[1] + edge * np.cos(angle)
    inside: PixelIndices = ski.draw.polygon(rows, columns, (size, size))
    return inside


def _uneven_background(size: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Return stray light: a tilted plane and a broad glow, both smooth."""
    rows, columns = np.mgrid[:size, :size] / size - 0.5
    direction = random.uniform(0, 2 * np.pi)
    plane = rows * np.sin(direction) + columns * np.cos(direction) + 0.7
    glow = 0.5 * (1 + _smooth_noise(size, size / 5, random).clip(-1, 2))
    return np.asarray(random.uniform(0.05, 0.25) * plane + random.uniform(0.1, 0.35) * glow)


def _debris(size: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Return the light of specks and fibres, too small or too thin to be nuclei."""
    specks, fibres = np.zeros((size, size)), np.zeros((size, size))
    area = (size / 256) ** 2
    for _ in range(random.poisson(25 * area)):
        place, radius = random.uniform(0, size, 2), random.uniform(1, 3)
        specks[ski.draw.disk(place, radius, shape=(size, size))] += random.uniform(0.3, 1.5)
    for _ in range(random.poisson(3 * area)):
        steps = np.arange(random.uniform(40, 160))
        angle = random.uniform(0, 2 * np.pi) + random.normal(0, 0.01) * steps
        path = random.uniform(0, size, 2)[:, None] + np.cumsum([np.sin(angle), np.cos(angle)], 1)
        inside = np.all((path >= 0) & (path < size - 0.5), axis=0)
        fibres[tuple(path[:, inside].round().astype(int))] = random.uniform(0.5, 1.5)
    return np.asarray(specks + scipy.ndimage.gaussian_filter(fibres, 0.8))


def _smooth_noise(size: int, sigma: float, random: np.random.Generator) -> NDArray[np.float64]:
    """Return Gaussian noise smoothed over `sigma` pixels, with mean 0 and deviation 1."""
    noise = scipy.ndimage.gaussian_filter(random.normal(size=(size, size)), sigma, mode="reflect")
    return np.asarray((noise - noise.mean()) / (noise.std() + 1e-12))
