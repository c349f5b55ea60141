"""The scores of a model in one line."""

from collections.abc import Mapping
from typing import Any


def describe_scores(metrics: Mapping[str, Any]) -> str:
    """Return the most important scores in one line.

    Args:
        metrics: What `metrics.json` or `cross_validation_metrics.json` holds.
    """
    if "folds" in metrics:
        return _describe_folds(metrics)
    means = {name: score["mean"] for name, score in metrics["scores"].items()}
    otsu = f" (Otsu's threshold: Dice {means['otsu_dice']:.3f})" if "otsu_dice" in means else ""
    which = metrics["class"] if metrics["threshold"] is None else f"class '{metrics['class']}'"
    return (
        f"Dice {means['dice']:.3f}, IoU {means['iou']:.3f}, precision {means['precision']:.3f}, "
        f"recall {means['recall']:.3f} of {which}, mean over {metrics['test_images']} test images"
        f"{otsu}"
    )


def _describe_folds(metrics: Mapping[str, Any]) -> str:
    dice = metrics["scores"]["dice"]
    return (
        f"Dice {dice['mean']:.3f} (standard deviation of the folds' means {dice['spread']:.3f}) "
        f"over {metrics['images']} images, each segmented by the network of {metrics['folds']} "
        "that has not seen it"
    )
