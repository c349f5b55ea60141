"""How long all scores of an image take, beside its prediction by a network of 16 filters.

    python benchmarks/evaluation.py --images 200 --json evaluation.json

Made-up images of nuclei with their objects' numbers, and with `UNET_REAL_DATA` set also the
membranes of ISBI 2012, whose outlines are much longer. The network is not trained, since that does
not change its speed; what is scored in place of its prediction is the truth with its outlines
moved, holes and specks, as a network that is halfway trained would find it. Prediction and each
family of scores take turns on the same image, so that a busy machine slows all; the table has
medians.
"""

import argparse
import json
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

EDGE = 512
FILTERS, DEPTH = 16, 3  # the preset `lean`

Example = tuple[NDArray[np.uint8], NDArray[np.uint32]]


def nuclei() -> Iterator[Example]:
    """Yield labels and object numbers of made-up nuclei: 60 ellipses, later ones on top."""
    rows, columns = np.mgrid[:EDGE, :EDGE]
    for seed in range(10**6):
        random = np.random.default_rng(seed)
        objects = np.zeros((EDGE, EDGE), np.uint32)
        for number in range(1, 61):
            row, column = random.uniform(0, EDGE, 2)
            tall, wide = random.uniform(12, 28, 2)
            objects[((rows - row) / tall) ** 2 + ((columns - column) / wide) ** 2 < 1] = number
        yield (objects > 0).astype(np.uint8), objects


def membranes(folder: Path) -> Iterator[Example]:
    """Yield the labels of ISBI 2012, again and again; the membranes' pieces are the objects."""
    from unetflow.io.formats.readers import read_mask

    truths = [np.asarray(read_mask(path)) == 0 for path in sorted(folder.iterdir())]
    while True:
        for truth in truths:
            yield truth.astype(np.uint8), ndimage.label(truth)[0].astype(np.uint32)


def blur(truth: NDArray[np.uint8], seed: int) -> NDArray[np.float32]:
    """Return probabilities `(height, width, 1)` that are right for most pixels."""
    noise = np.random.default_rng(seed).normal(0, 1, truth.shape)
    logits = 6 * (ndimage.gaussian_filter(truth.astype(float), 1.5) - 0.5)
    logits += 4 * ndimage.gaussian_filter(noise, 2)
    return (1 / (1 + np.exp(-4 * logits))).astype(np.float32)[:, :, None]


def measure(examples: Iterator[Example], images: int) -> dict[str, list[float]]:
    """Return the seconds of the prediction and of each family, for each image."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from unetflow.config.evaluation import ScoreParameters
    from unetflow.core.geometry import unet_geometry
    from unetflow.inference.postprocessing import Postprocessing
    from unetflow.inference.runtimes.runtime import as_predictor
    from unetflow.metrics.families import FAMILIES, score_class
    from unetflow.metrics.ranking import RankingCounts
    from unetflow.models.unet import build_unet
    from unetflow.tiling.windows import predict_tiled

    predictor = as_predictor(build_unet((None, None, 1), base_filters=FILTERS, depth=DEPTH))
    geometry, pooled = unet_geometry(DEPTH, "same"), RankingCounts(2)
    seconds: dict[str, list[float]] = defaultdict(list)
    for number in range(images + 1):  # the first one is for warming up
        truth, objects = next(examples)
        probabilities = blur(truth, number)
        found = Postprocessing.untuned(1).apply(probabilities)
        image = (255 * probabilities).astype(np.uint8)
        actions = {"prediction": lambda image=image: predict_tiled(predictor, image, geometry)}
        for family in FAMILIES:
            settings = ScoreParameters(scores=[family])
            actions[family] = lambda t=truth, f=found, s=settings, o=objects: score_class(
                t, f, 1, s, o
            )
        actions["pooled"] = lambda t=truth, p=probabilities: pooled.add(t, p)
        for name, act in actions.items():
            started = time.perf_counter()
            act()
            if number:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def main() -> None:
    """Measure, print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    data = {"nuclei": nuclei()}
    if "UNET_REAL_DATA" in os.environ:
        folder = Path(os.environ["UNET_REAL_DATA"]) / "isbi2012" / "train" / "label"
        data["membranes"] = membranes(folder)
    results = {}
    for name, examples in data.items():
        seconds = measure(examples, options.images)
        medians = {part: statistics.median(taken) for part, taken in seconds.items()}
        scores = sum(taken for part, taken in medians.items() if part != "prediction")
        results[name] = {
            **medians,
            "all_scores": scores,
            "scores_over_prediction": scores / medians["prediction"],
        }
        print(f"{name}: medians of {options.images} images of {EDGE} x {EDGE}, in seconds")
        for part, value in results[name].items():
            print(f"  {part:24} {value:8.4f}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
