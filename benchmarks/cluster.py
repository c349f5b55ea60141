"""How many images a second go through one process, and through workers of Dask.

    python benchmarks/cluster.py --json cluster.json

Images of 512 x 512 from files to labels, masks and overlays, which the main process takes and
throws away, and one image of 1536 x 1536 by blocks of 512 to a file. This process with all cores;
1, 2, 4 and 8 workers that share all cores, as `mask_export.workers` begins them; and so many that
have one core each, which shows what further workers bring. All take turns; a figure is the median
of all rounds, a ratio the median of the rounds' ratios. Made-up images and weights; the speed does
not depend on what is in them. Beside it the seconds until workers are begun and have done their
first images.
"""

import argparse
import json
import logging
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tifffile
from distributed import LocalCluster
from turns import compare, take_turns

from unetflow.config.mask_export import ExecutorParameters, MaskExportParameters
from unetflow.core.parallel import count_cores
from unetflow.data.intensity import IntensityRange
from unetflow.inference.blockwise.segment_blocks import segment_blocks
from unetflow.inference.executor import Executor, open_executor
from unetflow.inference.postprocessing import Postprocessing
from unetflow.inference.segment import segment
from unetflow.inference.segmenter import Segmenter, SegmenterSettings
from unetflow.io.image_file import ImageFile, open_large
from unetflow.models.device import describe_device
from unetflow.models.unet import build_unet, geometry_of, with_preprocessing

EDGE, LARGE, BLOCK, TILE = 512, 1536, 512, 512
WORKERS = (1, 2, 4, 8)
ALONE, ONE_CORE = "this process", "1 worker of 1 core"


def make_segmenter(filters: int) -> Segmenter:
    """Return a segmenter with random weights."""
    keras.utils.set_random_seed(0)
    unet = build_unet((None, None, 1), base_filters=filters)
    model = with_preprocessing(unet, IntensityRange([0.0], [255.0]))
    geometry = geometry_of(unet)
    return Segmenter(
        model,
        SegmenterSettings(
            classes=["background", "cell"],
            channels=1,
            dtype="uint8",
            geometry=geometry,
            tile=TILE,
            postprocessing=Postprocessing(threshold=0.5),
        ),
    )


def write_images(folder: Path, count: int) -> tuple[dict[str, ImageFile], Path]:
    """Write images, and a large one."""
    random = np.random.default_rng(0)
    paths = [folder / f"image_{number}.tif" for number in range(count)]
    for path, edge in [*((path, EDGE) for path in paths), (folder / "large.tif", LARGE)]:
        tifffile.imwrite(path, random.integers(0, 256, (edge, edge), np.uint8), tile=(256, 256))
    return {path.stem: ImageFile(path) for path in paths}, folder / "large.tif"


def list_executors(stack: ExitStack) -> dict[str, ExecutorParameters]:
    """Return who takes part; clusters whose workers have one core each are begun here."""
    found = {ALONE: ExecutorParameters()}
    for number in (number for number in WORKERS if number <= count_cores()):
        name = f"{number} worker{'s'[: number > 1]}"
        found[f"{name} on all cores"] = ExecutorParameters(executor="dask", workers=number)
        cluster = stack.enter_context(
            LocalCluster(
                n_workers=number,
                threads_per_worker=1,
                host="127.0.0.1",
                dashboard_address=None,
                scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
                memory_limit=None,
                silence_logs=logging.CRITICAL,
            )
        )
        found[f"{name} of 1 core"] = ExecutorParameters(
            executor="dask", scheduler=cluster.scheduler_address
        )
    return found


def begin(
    segmenter: Segmenter, images: dict[str, ImageFile], stack: ExitStack
) -> tuple[dict[str, Executor[Segmenter]], dict[str, float]]:
    """Begin whoever computes; return the seconds, too, that each took up to its first images."""
    executors, seconds = {}, {}
    for name, wanted in list_executors(stack).items():
        started = time.perf_counter()
        executors[name] = stack.enter_context(open_executor(wanted, segmenter, Segmenter.serialise))
        segment_all(segmenter, images, executors[name])
        seconds[name] = time.perf_counter() - started
    return executors, seconds


def segment_all(
    segmenter: Segmenter, images: dict[str, ImageFile], executor: Executor[Segmenter]
) -> float:
    """Return the seconds that all images take."""
    started = time.perf_counter()
    found = dict(segment(segmenter, images, MaskExportParameters(objects=None), executor=executor))
    seconds = time.perf_counter() - started
    assert len(found) == len(images)  # noqa: S101 - else the time means nothing
    return seconds


def segment_one(segmenter: Segmenter, large: Path, executor: Executor[Segmenter]) -> float:
    """Return the seconds that the large image takes."""
    target = large.with_name("labels.tif")
    started = time.perf_counter()
    with open_large(large) as image:
        segment_blocks(segmenter, image, target, executor=executor, block=BLOCK)
    return time.perf_counter() - started


def measure(filters: int, count: int, rounds: int) -> dict[str, Any]:
    """Time everything."""
    with TemporaryDirectory() as folder, ExitStack() as stack:
        segmenter = make_segmenter(filters)
        images, large = write_images(Path(folder), count)
        executors, seconds = begin(segmenter, images, stack)

        def actions(act: Callable[[Executor[Segmenter]], float]) -> Any:
            return {name: lambda r=executor: [act(r)] for name, executor in executors.items()}

        cases = {
            "images": (actions(lambda r: segment_all(segmenter, images, r)), count, "images"),
            "large image": (
                actions(lambda r: segment_one(segmenter, large, r)),
                LARGE**2 / 1e6,
                "megapixels",
            ),
        }
        results: dict[str, Any] = {"seconds to begin": seconds}
        for case, (contestants, amount, unit) in cases.items():
            results[case] = compare(take_turns(contestants, rounds), ALONE, ONE_CORE)
            for figures in results[case].values():
                figures[f"{unit} per second"] = amount / figures["seconds"]
        return results


def main() -> None:
    """Measure, print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--filters", type=int, default=16)
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = {"device": describe_device(), "cores": count_cores()}
    results |= measure(options.filters, options.images, options.rounds)
    print(f"{options.filters} filters, {results['cores']} cores of {results['device']}")
    for name, seconds in results["seconds to begin"].items():
        print(f"  {name:22} {seconds:6.1f} s to begin and do {options.images} images")
    for case in ("images", "large image"):
        print(case)
        for name, figures in results[case].items():
            speed, unit = next((v, k) for k, v in figures.items() if k.endswith("per second"))
            alone, one = (figures[f"speed over {peer}"] for peer in (ALONE, ONE_CORE))
            print(
                f"  {name:22} {speed:7.2f} {unit}, {alone:5.2f} times as many as {ALONE}, "
                f"{one:5.2f} as {ONE_CORE}"
            )
    if options.json:
        options.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
