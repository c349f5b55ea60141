"""How well faint, thin defects are learnt where most images hold none.

    python benchmarks/empty_images.py --minutes 10 --json empty_images.json

400 made-up tiles of grey texture, 256 x 256 pixels, 70 % of them empty. The others hold one to
three scratches, 1 to 3 pixels thick and hardly brighter or darker than the texture. `kedro run`
ingests them, plans (`preset=planned`), trains and evaluates. Then the test tiles are segmented:

- pooled Dice: 2 TP / (2 TP + FP + FN) over the pixels of all test tiles together (target 0.6);
- image AUC: area under the ROC curve of a tile's highest foreground probability, as to whether it
  holds a defect (target 0.9);
- detected, false alarms: fractions of the tiles with and without defect where something is found.

`--params` are added to those of the run, as in `training.loss=bce + dice`.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from planned_run import train_planned
from sklearn.metrics import roc_auc_score

EDGE, EMPTY = 256, 0.7
CLASSES = """classes:
  - {name: background, values: 0}
  - {name: defect, values: 255}
"""


def main() -> None:
    """Make the tiles, train, print the figures and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiles", type=int, default=400)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--memory-gb", type=float, default=4)
    parser.add_argument("--params", default="", help="more parameters of the run")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_tiles(folder / "tiles", options.tiles)
        granted = f"budget.memory_gb={options.memory_gb},budget.minutes={options.minutes}"
        data = train_planned(folder, folder / "tiles", f"{granted},{options.params}", CLASSES)
        figures = score(data)
    for title, value in figures.items():
        print(f"{title:24} {value:.3f}" if isinstance(value, float) else f"{title:24} {value}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2), encoding="utf-8")


def write_tiles(folder: Path, count: int) -> None:
    """Write tiles and their masks, each a function of its number."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for number in range(count):
        image, mask = make_tile(np.random.default_rng(number), has_defect=number % 10 >= 10 * EMPTY)
        cv2.imwrite(str(folder / "images" / f"tile_{number:03}.png"), image)
        cv2.imwrite(str(folder / "masks" / f"tile_{number:03}.png"), mask)


def make_tile(
    random: np.random.Generator, *, has_defect: bool
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a tile and its mask, each `(256, 256)`."""
    coarse, fine = (
        cv2.GaussianBlur(random.normal(size=(EDGE, EDGE)).astype(np.float32), (0, 0), sigma)
        for sigma in (12.0, 1.2)
    )
    texture = 120 + 12 * coarse / coarse.std() + 8 * fine / fine.std()
    mask = np.zeros((EDGE, EDGE), np.uint8)
    for _ in range(int(random.integers(1, 4)) if has_defect else 0):
        stroke = _draw_scratch(random)
        texture += stroke * random.choice([-1, 1]) * random.uniform(18, 30)
        mask |= stroke
    noisy = texture + random.normal(scale=4, size=mask.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8), mask * 255


def _draw_scratch(random: np.random.Generator) -> NDArray[np.uint8]:
    """Return a slightly bent line, 1 to 3 pixels thick."""
    start, angle = random.uniform(30, EDGE - 30, 2), random.uniform(0, 2 * np.pi)
    length, bend = random.uniform(30, 110), random.uniform(-0.8, 0.8)
    angles = angle + bend * np.linspace(0, 1, 24)
    steps = np.stack([np.cos(angles), np.sin(angles)], axis=1) * length / 24
    points = np.round(start + np.cumsum(steps, axis=0)).astype(np.int32)
    stroke = np.zeros((EDGE, EDGE), np.uint8)
    cv2.polylines(stroke, [points], isClosed=False, color=1, thickness=int(random.integers(1, 4)))
    return stroke


def score(data: Path) -> dict[str, Any]:
    """Segment the test tiles, and return the figures by name."""
    from unetflow.data.manifest import samples_of_split
    from unetflow.data.samples import SampleFolder
    from unetflow.inference.segmenter import Segmenter
    from unetflow.metrics.pixels import count_confusion

    segmenter = Segmenter.load(data / "06_models/segmenter.keras")
    manifest = pd.read_parquet(next((data / "03_primary").glob("manifest*")))
    samples = SampleFolder.read(next((data / "02_intermediate").glob("samples*")))
    rows = []
    for sample in samples_of_split(samples, manifest, "test").values():
        counts = count_confusion(sample.label, segmenter.predict(sample.image) == 1)
        highest = float(segmenter.predict_probabilities(sample.image)[..., -1].max())
        hits, false, missed, _ = vars(counts).values()
        rows.append((hits, false, missed, highest, hits + missed > 0, hits + false > 0))
    names = ["hits", "false", "missed", "highest", "holds", "found"]
    table = pd.DataFrame(rows, columns=names)
    hits, false, missed = (int(table[name].sum()) for name in names[:3])
    history = pd.read_csv(next(data.rglob("history.csv")))
    plan = json.loads(next(data.rglob("plan.json")).read_text(encoding="utf-8"))
    return {
        "pooled Dice": 2 * hits / max(2 * hits + false + missed, 1),
        "image AUC": float(roc_auc_score(table["holds"], table["highest"])),
        "detected": float(table["found"][table["holds"]].mean()),
        "false alarms": float(table["found"][~table["holds"]].mean()),
        "test tiles": len(table),
        "of them with defect": int(table["holds"].sum()),
        "epochs": len(history),
        "best validation Dice": float(history["val_dice"].max()),
        "steps planned": plan["steps"],
        "filters": plan["model"]["base_filters"],
        "loss": plan["training"]["loss"],
        "foreground fraction": plan["training"]["foreground_fraction"],
    }


if __name__ == "__main__":
    main()
