"""How long it takes to make objects of a mask, and each file of them.

    python benchmarks/objects.py --rounds 5 --json objects.json

The mask is made up: 1,000 ellipses of 8 to 20 pixels' radius in 2048 x 2048 pixels, of two classes.
The steps take turns, so that a busy machine slows all; the table has medians. Files go to a folder
of the machine's own, synced as in a run.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unetflow.config.mask_export import ObjectParameters
from unetflow.instances.contours import trace_outlines
from unetflow.instances.export_formats import write_coco, write_geojson, write_imagej_rois
from unetflow.instances.objects import Objects, find_objects, measure_objects
from unetflow.io.pixel_size import PixelSize
from unetflow.io.tiff_writer import write_label_tiff

EDGE, STEP = 2048, 64
NAMES = ["background", "nucleus", "cell"]


def ellipses() -> NDArray[np.uint8]:
    """Return the label of 1,000 ellipses, one in each square of a grid: none touch."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:STEP, :STEP] - STEP / 2 + 0.5
    label = np.zeros((EDGE, EDGE), np.uint8)
    squares = random.choice((EDGE // STEP) ** 2, 1000, replace=False)
    for number, square in enumerate(squares):
        tall, wide = random.uniform(8, 20, 2)
        turn = random.uniform(0, np.pi)
        along = np.cos(turn) * rows + np.sin(turn) * columns
        across = np.cos(turn) * columns - np.sin(turn) * rows
        top, left = (STEP * place for place in divmod(int(square), EDGE // STEP))
        inside = (along / tall) ** 2 + (across / wide) ** 2 < 1
        label[top : top + STEP, left : left + STEP][inside] = 1 + number % 2
    return label


def steps(label: NDArray[np.uint8], folder: Path) -> dict[str, Callable[[], object]]:
    """Return what is timed, by name."""
    objects: Objects = find_objects(label)
    image = np.random.default_rng(1).integers(0, 65_535, (EDGE, EDGE, 1), np.uint16)
    size = PixelSize(0.5, 0.5)
    watershed = ObjectParameters(method="watershed")
    return {
        "find_objects, components": lambda: find_objects(label),
        "find_objects, watershed": lambda: find_objects(label, watershed),
        "trace_outlines": lambda: trace_outlines(objects.numbers),
        "measure_objects": lambda: measure_objects(objects, image, "a.png", NAMES, size),
        "write_geojson": lambda: write_geojson(folder / "a.geojson", objects, NAMES),
        "write_imagej_rois": lambda: write_imagej_rois(folder / "a.zip", objects, NAMES),
        "write_coco": lambda: write_coco(folder / "a.json", [("a.png", objects)], NAMES),
        "write_label_tiff": lambda: write_label_tiff(folder / "a.tif", objects.numbers, size),
    }


def main() -> None:
    """Time all steps in turn, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    times: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        timed = steps(ellipses(), Path(folder))
        for step in timed.values():  # the libraries are loaded at the first call
            step()
        for _ in range(arguments.rounds):
            for name, step in timed.items():
                started = time.perf_counter()
                step()
                times[name].append(1000 * (time.perf_counter() - started))
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, median in medians.items():
        print(f"{name:<28}{median:8.0f} ms")
    if arguments.json:
        arguments.json.write_text(json.dumps({"milliseconds": times, "medians": medians}, indent=2))


if __name__ == "__main__":
    main()
