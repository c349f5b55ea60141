"""How well the planner predicts the peak memory of a training: predicted against measured.

    python benchmarks/planning.py --json planning.json

Each case is a training of two epochs of a few steps in a process of its own, which has imported
what `kedro run` imports. The planner's coefficients were found from the cases of `CALIBRATION`;
those of `HELD_OUT` had no part in it. A case takes a minute or two on two cores.
"""

import argparse
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from turns import peak_memory

from unetflow.config.training import PlannedTraining

STEPS = 3


@dataclass(frozen=True)
class Case:
    """A training to measure, named as in the parameters; `image` is a validation image's edge."""

    base_filters: int
    depth: int
    crop_size: int
    batch_size: int
    normalisation: str = "batch"
    padding: str = "same"
    optimiser: str = "adam"
    image: int = 128
    tile: int = 512
    channels: int = 3
    classes: int = 1
    deep_supervision: int = 0
    loss: str = "bce + dice"


CALIBRATION = (
    Case(8, 2, 64, 8),
    Case(16, 3, 128, 4),
    Case(16, 4, 256, 4, image=1024, channels=1),
    Case(32, 4, 256, 2, normalisation="none"),
    Case(64, 4, 64, 4, optimiser="sgd"),
    Case(64, 4, 64, 4),
    Case(16, 3, 188, 4, padding="valid", image=600),
    Case(64, 2, 128, 4, normalisation="none"),
    Case(24, 4, 384, 4),
    Case(32, 3, 64, 1, image=1024),
    Case(48, 3, 128, 4, normalisation="group"),
    Case(64, 3, 256, 1, image=512),
    Case(8, 3, 256, 4, classes=11, loss="cce + cldice"),
    Case(8, 3, 256, 4, classes=11, loss="cce + lovasz"),
    Case(8, 3, 256, 4, classes=11, loss="cce + dice", deep_supervision=2),
)
HELD_OUT = (
    Case(32, 3, 192, 4),
    Case(32, 4, 284, 2, padding="valid"),
    Case(64, 4, 256, 2),
    Case(8, 4, 256, 8, normalisation="none"),
    Case(16, 3, 256, 8, normalisation="instance", image=256),
    Case(64, 3, 64, 1, image=1024),
    Case(16, 3, 256, 4, loss="bce + cldice"),
    Case(16, 3, 256, 4, loss="bce + lovasz"),
    Case(16, 4, 256, 4, deep_supervision=3),
    Case(8, 4, 256, 4, classes=11, loss="cce + dice", image=480),
    Case(8, 3, 256, 4, classes=11, loss="cce + cldice + lovasz", image=480, deep_supervision=2),
)


def training_of(case: Case) -> PlannedTraining:
    """Return the parameters of a training of two epochs: the second has a copy of the weights."""
    return PlannedTraining(
        epochs=2,
        crop_size=case.crop_size,
        crops_per_image=STEPS,
        batch_size=case.batch_size,
        tile=case.tile,
        optimiser=case.optimiser,
        loss=case.loss,
        precision="float32",
        processes=0,
    )


def measure(case: Case) -> int:
    """Train in this process and return its peak resident memory in bytes."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import kedro.framework.session  # noqa: F401 - for the memory that it takes
    import mlflow.keras  # noqa: F401 - likewise
    import numpy as np

    from unetflow.augmentation.policy import Augmenter
    from unetflow.data.intensity import IntensityRange
    from unetflow.data.samples import Sample
    from unetflow.models.unet import build_unet
    from unetflow.training.callbacks import TrainingListeners
    from unetflow.training.fit import fit

    random = np.random.default_rng(0)

    def noise(edge: int) -> Sample:
        image = random.integers(0, 256, (edge, edge, case.channels), dtype=np.uint8)
        return Sample(image, image[:, :, 0] % max(case.classes, 2))

    unet = build_unet(
        (None, None, case.channels),
        base_filters=case.base_filters,
        depth=case.depth,
        classes=case.classes,
        normalisation=case.normalisation,
        padding=case.padding,
        deep_supervision=case.deep_supervision,
    )
    settings = training_of(case)
    fit(
        unet,
        {str(number): noise(case.crop_size) for number in range(case.batch_size)},
        {"validation": noise(case.image)},
        IntensityRange([0.0] * case.channels, [255.0] * case.channels),
        Augmenter([{"transform": "HorizontalFlip", "p": 0.5}]),
        settings,
        TrainingListeners(lambda epoch, logs: None, lambda batch: None),
        seed=1,
    )
    return peak_memory()


def measure_apart(case: Case) -> int:
    """Measure in a fresh process."""
    command = [sys.executable, __file__, "--case", json.dumps(asdict(case))]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return int(done.stdout.splitlines()[-1])


def predict(case: Case) -> int:
    """Return what the planner expects for a case, in bytes."""
    from unetflow.training.planner.network_cost import Architecture, predict_memory

    return predict_memory(
        Architecture(
            case.channels,
            case.base_filters,
            case.depth,
            case.classes,
            normalisation=case.normalisation,
            padding=case.padding,
            deep_supervision=case.deep_supervision,
        ),
        crop=case.crop_size,
        batch=case.batch_size,
        image=(case.image, case.image),
        tile=case.tile,
        training=training_of(case),
    )


def main() -> None:
    """Measure all cases, print a table and write JSON; or measure one case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--case", help="a case as JSON, to be measured in this process")
    options = parser.parse_args()
    if options.case:
        print(measure(Case(**json.loads(options.case))))
        return
    print(
        "width depth crop batch norm.    padding optim. image classes supervised "
        "predicted measured  error  loss"
    )
    rows = []
    for case in (*CALIBRATION, *HELD_OUT):
        predicted, measured = predict(case), measure_apart(case)
        error = predicted / measured - 1
        held_out = case in HELD_OUT
        rows.append(
            {**asdict(case), "held_out": held_out, "predicted": predicted, "measured": measured}
        )
        print(
            f"{case.base_filters:5} {case.depth:5} {case.crop_size:4} {case.batch_size:5} "
            f"{case.normalisation:8} {case.padding:7} {case.optimiser:6} {case.image:5} "
            f"{case.classes:7} {case.deep_supervision:10} "
            f"{predicted / 1e6:6.0f} MB {measured / 1e6:5.0f} MB {error:+7.1%}  {case.loss}"
            f"{', held out' if held_out else ''}",
            flush=True,
        )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
