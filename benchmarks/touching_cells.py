"""How well touching cells are separated and counted.

    python benchmarks/touching_cells.py --minutes 20 --json touching_cells.json

50 made-up images of 512 x 512 pixels, as of living cells in differential interference contrast: 6
to 18 cells of about 80 pixels in two to four clumps, with a nucleus and grains each, as a relief
that light from one corner gives. Masks number the cells. `kedro run` ingests them, plans
(`preset=planned`), trains and evaluates; the figures are those of the test images.

`--params` are added to those of the run, as in `model.instances=none`.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy
import skimage as ski
import tifffile
from numpy.typing import NDArray
from planned_run import train_planned

EDGE = 512
SCORES = ("dice", "object_f1_iou50", "dsb_score")


def main() -> None:
    """Make the images, train, print the figures and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--memory-gb", type=float, default=4)
    parser.add_argument("--params", default="", help="more parameters of the run")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_cells(folder / "cells", options.images)
        granted = f"budget.memory_gb={options.memory_gb},budget.minutes={options.minutes}"
        data = train_planned(folder, folder / "cells", f"{granted},{options.params}")
        figures = read_figures(data)
    for title, value in figures.items():
        print(f"{title:24} {value:.3f}" if isinstance(value, float) else f"{title:24} {value}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2), encoding="utf-8")


def write_cells(folder: Path, count: int) -> None:
    """Write images and masks, each a function of its number."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for number in range(count):
        random = np.random.default_rng(1000 + number)
        cells = place_cells(random)
        tifffile.imwrite(folder / "images" / f"cells_{number:03}.tif", draw_relief(cells, random))
        tifffile.imwrite(folder / "masks" / f"cells_{number:03}.tif", cells)


def place_cells(random: np.random.Generator) -> NDArray[np.uint16]:
    """Return the number of each pixel's cell; where two would overlap, the nearer one has it."""
    number = int(random.integers(6, 19))
    clumps = random.uniform(60, EDGE - 60, (int(random.integers(2, 5)), 2))
    centres: list[NDArray[np.float64]] = []
    while len(centres) < number:
        centre = clumps[random.integers(len(clumps))] + random.normal(0, 75, 2)
        inside = (centre > 10).all() and (centre < EDGE - 10).all()
        if inside and all(np.hypot(*(centre - other)) > 52 for other in centres):
            centres.append(centre)
    places = [
        axis + 5 * _smooth_noise(random, 14) + 1.2 * _smooth_noise(random, 5)
        for axis in np.mgrid[:EDGE, :EDGE]
    ]
    cells, nearest = np.zeros((EDGE, EDGE), np.uint16), np.ones((EDGE, EDGE))
    for index, (row, column) in enumerate(centres, start=1):
        turn, stretch, radius = random.uniform([0, 1, 34], [np.pi, 1.5, 58])
        down, right = places[0] - row, places[1] - column
        along = down * np.cos(turn) + right * np.sin(turn)
        across = right * np.cos(turn) - down * np.sin(turn)
        distance = np.sqrt(along**2 / stretch + across**2 * stretch) / radius
        closer = distance < nearest
        cells[closer], nearest[closer] = index, distance[closer]
    return _largest_pieces(cells)


def _largest_pieces(cells: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Keep the largest piece of each cell, unless it has fewer than 150 pixels."""
    kept = np.zeros_like(cells)
    for index in range(1, cells.max() + 1):
        pieces = ski.measure.label(cells == index)
        areas = np.bincount(pieces.ravel())[1:]
        if areas.size and areas.max() >= 150:
            kept[pieces == 1 + areas.argmax()] = kept.max() + 1
    return kept


def draw_relief(cells: NDArray[np.uint16], random: np.random.Generator) -> NDArray[np.uint8]:
    """Return the image: the slope of the cells' thickness towards one corner, with noise."""
    thickness, nuclei = np.zeros(cells.shape), np.zeros(cells.shape)
    rows, columns = np.indices(cells.shape)
    for index in range(1, cells.max() + 1):
        inside = cells == index
        depth = np.minimum(scipy.ndimage.distance_transform_edt(inside), 14) / 14
        thickness += np.where(inside, np.sqrt(depth) * random.uniform(0.7, 1.2), 0)
        row, column = np.argwhere(inside).mean(axis=0) + random.normal(0, 4, 2)
        away = ((rows - row) ** 2 + (columns - column) ** 2) / 13**2
        nuclei += np.where(inside, 2.2 * np.exp(-(away**3)), 0)
    grains = 1.1 * _smooth_noise(random, 2) + 1.5 * _smooth_noise(random, 5)
    path = 14 * scipy.ndimage.gaussian_filter(thickness, 1.8)
    path += scipy.ndimage.gaussian_filter(np.where(cells > 0, grains, 0), 1)
    path += scipy.ndimage.gaussian_filter(nuclei, 1.2)
    slope = sum(scipy.ndimage.gaussian_filter(path, 1, order=axis) for axis in ((1, 0), (0, 1)))
    noise = random.normal(0, 2.2, cells.shape) + 1.5 * _smooth_noise(random, 1.5)
    grey = 110 + 16 * slope + 4 * _smooth_noise(random, 90) + noise
    return np.clip(grey, 0, 255).astype(np.uint8)


def _smooth_noise(random: np.random.Generator, sigma: float) -> NDArray[np.float64]:
    """Return Gaussian noise smoothed over `sigma` pixels, with mean 0 and deviation 1."""
    noise = scipy.ndimage.gaussian_filter(random.normal(size=(EDGE, EDGE)), sigma, mode="reflect")
    return np.asarray((noise - noise.mean()) / noise.std())


def read_figures(data: Path) -> dict[str, Any]:
    """Return the figures of the evaluation by name."""
    scores = pd.read_csv(data / "08_reporting/image_scores.csv")
    plan = json.loads((data / "05_model_input/plan.json").read_text(encoding="utf-8"))
    true, found = (int(scores[name].sum()) for name in ("true_objects", "found_objects"))
    return {
        **{name: float(scores[name].mean()) for name in SCORES},
        "test images": len(scores),
        "true cells": true,
        "found cells": found,
        "count error": (found - true) / true,
        "epochs": len(pd.read_csv(next(data.rglob("history.csv")))),
        "steps planned": plan["steps"],
        "filters": plan["model"]["base_filters"],
        "crop": plan["training"]["crop_size"],
    }


if __name__ == "__main__":
    main()
