"""Made-up evaluations for the report, and a reader of its page."""

from functools import cache

import numpy as np
import pandas as pd

from tests.support.report_page import CLASSES, Page, Samples, some, tabulate
from tests.support.score_tables import of_dice
from unetflow.config.model import PlannedModel
from unetflow.config.parameters import Plan
from unetflow.config.training import PlannedTraining
from unetflow.data.fingerprint import Fingerprint
from unetflow.data.intensity import IntensityRange
from unetflow.data.samples import Sample
from unetflow.reporting.evaluation_report import EvaluationResults, write_evaluation_report
from unetflow.reporting.model_card import describe_model

RUN = {
    "command": "kedro run --params 'training.epochs=3'",
    "commit": "0123456789abcdef",
    "changed": False,
    "mlflow_run": "f00",
    "time": "2026-01-02 03:04 UTC",
    "device": "CPU",
    "versions": {"Python": "3.11.9", "keras": "3.15.0"},
}
PLAN = Plan.model_construct(
    model=PlannedModel(base_filters=16, depth=3),
    training=PlannedTraining.model_construct(
        epochs=3, loss={"bce": 1.0, "dice": 1.0}, weight_map=None
    ),
)
PARAMETERS = {
    "seed": 42,
    "model": {"base_filters": 16, "depth": None},
    "training": {"epochs": 3, "loss": {"bce": 1.0, "dice": 1.0}, "weight_map": None},
}


def score(mean, **more):
    return {"mean": mean, "smallest": 0.0, "largest": 1.0, "definition": "2 TP / ...", **more}


def history(dice=(0.5, 0.7, 0.8, 0.8), val_dice=(0.4, 0.6, 0.8, 0.7)):
    table = pd.DataFrame({"epoch": range(1, len(dice) + 1), "dice": dice, "val_dice": val_dice})
    return table.assign(loss=1 - table["dice"], val_loss=1 - table["val_dice"])


def evaluation(samples, table, means=None, **changes):
    """Make an evaluation in which the Dice of the test images rises from 0.7 to 0.9."""
    fractions = [name for name in table if name.startswith("fraction_")][1:]
    table = table.assign(foreground=table[fractions].sum(axis=1))
    ids = table.loc[table["split"] == "test", "id"].tolist()
    scores = of_dice(np.linspace(0.7, 0.9, len(ids)), ids=ids)
    means = means or {"dice": score(0.8), "precision": score(0.8), "recall": score(0.8)}
    thresholds = np.linspace(0.1, 0.9, 9)
    counts = {"test_images": len(ids)}
    known = {
        "manifest": table,
        "fingerprint": Fingerprint.model_construct(
            digest="d1635" * 12,
            samples=table["split"].value_counts().to_dict(),
            channels=1,
            dtype="uint8",
            intensity=IntensityRange([3.0], [201.0]),
        ),
        "image_scores": scores,
        "metrics": {"class": "nucleus", "threshold": 0.4, "scores": means, **counts},
        "threshold_curve": pd.DataFrame(
            {"threshold": thresholds, "validation_dice": 1 - (thresholds - 0.4) ** 2}
        ),
        "history": history(),
    }
    return EvaluationResults(**known | changes)


def card(evaluation, classes=CLASSES, plan=PLAN, **run):
    threshold = evaluation.metrics["threshold"]
    metrics = {"test_images": 20} | evaluation.metrics
    return describe_model(
        plan, evaluation.fingerprint, classes, threshold, 1234, metrics, RUN | run
    )


def write(samples, evaluation, classes=CLASSES, predict=None, parameters=PARAMETERS, **run):
    return write_evaluation_report(
        evaluation,
        card(evaluation, classes, **run),
        parameters,
        samples,
        predict or (lambda image: (image[:, :, 0] > 100).astype(np.uint8)),
    )


def page(count=100, predict=None, classes=CLASSES, **changes):
    samples, table = some(count)
    return Page(write(samples, evaluation(samples, table, **changes), classes, predict))


@cache
def plain():
    """Return a page of two classes on which nothing optional was computed."""
    return page()


THREE = ["background", "cell", "debris"]


def three_classes(count=40):
    """Make noisy images of three classes with ignored pixels and of different sizes."""
    random = np.random.default_rng(0)
    samples, splits = Samples({}), []
    for n in range(count):
        height, width = 60 + n, 90 + 3 * n
        label = np.zeros((height, width), np.uint8)
        label[5:25, 5 : 25 + n // 2] = 1
        label[30:50, 40:60] = 2
        noise = random.integers(0, 60, (height, width, 1))
        image = (noise + 60 * label[:, :, np.newaxis]).astype(np.uint8)
        label[:, -6:] = 255
        samples[f"s{n:03d}"] = Sample(image, label)
        splits.append(("train", "validation", "test", "test")[n % 4])
    return samples, tabulate(samples, splits, THREE)


@cache
def everything():
    """Write a page on which every part has something to show."""
    samples, table = three_classes()
    ids = table.loc[table["split"] == "test", "id"].tolist()
    probabilities = np.linspace(0.05, 0.95, 10)
    calibration = {
        stage: {
            "expected_calibration_error": error,
            "bins": [
                {"pixels": 100, "mean_probability": p, "share_true": p**power}
                for p in probabilities
            ]
            + [{"pixels": 0, "mean_probability": None, "share_true": None}],
        }
        for stage, power, error in (("before", 2, 0.17), ("after", 1.1, 0.02))
    }
    names = ("dice", "iou", "precision", "recall", "dice_cell", "otsu_dice")
    means = {name: score(0.8, interval=[0.75, 0.85]) for name in names}
    shown = evaluation(
        samples,
        table,
        means,
        calibration=calibration,
        needs_review=pd.DataFrame({"id": ids, "expected_error": 0.1, "error": 0.2}),
        suspicious_labels=pd.DataFrame({"id": ids[:2], "most_wrong_pixels": [30, 20]}),
    )
    return write(samples, shown, THREE, lambda i: ((i[:, :, 0] + 5) // 60).clip(0, 2))
