"""How fast a training goes, beside a bare Keras `fit`, this machine's limits and albumentations.

    python benchmarks/training.py --json training.json

1. Steps: `training.fit.fit`, which the training node calls, with samples on disk, augmentation,
   progress and checkpoints, against Keras's `fit` on arrays in memory without any of it: of the
   same network in the same precision, and of Keras's own network in float32.
2. Precision: a step alone, of Keras's own network and of the copy that trains
   (`training.fused_layers`), in float32 and in bfloat16; with `--pytorch PYTHON`, which must have
   PyTorch, that of plain PyTorch too (`benchmarks/plain_pytorch.py`).
3. The limit: floating-point operations a second of a step, over those of a matrix product.
4. Repeatability: the same step with TensorFlow's deterministic operations and without.
5. Memory: the peak of a training of 100 images and of one of 2,000, with equally many steps.
6. The feed: crops a second without a step behind it, over what albumentations alone does on one
   core times the number of cores.

All take turns; a figure is the median of all steps, a ratio the median of the rounds' ratios.
Made-up images; the speed does not depend on what is in them. Where a part must begin afresh, it
runs in a process of its own. `--parts steps,feed` takes some of them only, and
`KERAS_BACKEND=jax` another backend.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import keras
from training_feed import augment_alone, measure_feed, measure_memory, peak
from training_steps import (
    measure_limit,
    measure_precision,
    measure_repeatable,
    measure_steps,
    steps_apart,
)
from turns import print_table

from unetflow.models.device import describe_device

OF_A_NETWORK = {
    "steps": measure_steps,
    "precision": measure_precision,
    "limit": measure_limit,
    "repeatable": measure_repeatable,
}
"""The parts that are measured for each number of filters."""

OF_THE_FEED = {"memory": measure_memory, "feed": measure_feed}
APART = {one.__name__: one for one in (steps_apart, peak, augment_alone)}
"""What is measured in a process of its own."""


def main() -> None:
    """Measure, print the figures and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", default=",".join([*OF_A_NETWORK, *OF_THE_FEED]))
    parser.add_argument("--filters", default="16,64")
    parser.add_argument("--steps", type=int, default=10, help="of a round")
    parser.add_argument("--batch", type=int, default=4, help="crops in a batch")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pytorch", help="a Python that has PyTorch")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--call", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.call:
        name, *arguments = json.loads(options.call)
        print(json.dumps(APART[name](*arguments)))
        return
    results: dict[str, Any] = {
        "device": describe_device(),
        "backend": keras.backend.backend(),
        "batch": options.batch,
    }
    with tempfile.TemporaryDirectory() as folder:
        for part in options.parts.split(","):
            results[part] = measure(part, options, Path(folder))
            if options.json:
                options.json.write_text(json.dumps(results, indent=2))


def measure(part: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Measure one part, and print its figures."""
    if part in OF_THE_FEED:
        figures = OF_THE_FEED[part](options, folder)
        print_table(part, figures)
        return figures
    found = {}
    for filters in options.filters.split(","):
        found[filters] = OF_A_NETWORK[part](options, int(filters), folder)
        print_table(f"{part}, {filters} filters", found[filters])
    return found


if __name__ == "__main__":
    main()
