"""The scores of an evaluation as MLflow keeps them: numbers by name."""

from collections.abc import Mapping
from typing import Any


def list_values(metrics: Mapping[str, Any], prefix: str) -> dict[str, float]:
    """Return the mean of each score as `<prefix>_<score>`, its spread, and those of all images.

    Beside these are the numbers of false alarms and of empty images, the yardsticks, the counts of
    objects with their errors, and the calibration error of the objects' confidence. What is None or
    missing is left out; files of earlier versions hold less.

    Args:
        metrics: `evaluation.metrics_file.Metrics` or `evaluation.fold_summary.summarise_folds`.
        prefix: What was scored, such as "test".
    """
    values: dict[str, float | None] = {}
    for name, score in metrics["scores"].items():
        values[name] = score["mean"]
        values[f"{name}_spread"] = score.get("spread")
    for name, score in metrics.get("pooled", {}).items():
        values[name] = score["value"]
    for name in ("false_alarms", "empty_images"):
        values[name] = metrics.get(name)
    for name, value in metrics.get("yardsticks", {}).items():
        key = name.replace("'s threshold", "").replace(" ", "_").lower()
        values[f"charged_dice_of_{key}"] = value
    values |= _list_counts(metrics.get("objects") or {}, "")
    for class_name, counts in metrics.get("objects_by_class", {}).items():
        values |= _list_counts(counts, f"_{class_name}")
    confidence = metrics.get("confidence") or {}
    values["confidence_calibration_error"] = confidence.get("expected_calibration_error")
    known = {f"{prefix}_{name}": value for name, value in values.items() if value is not None}
    threshold = metrics.get("threshold")
    return known if threshold is None else known | {"threshold": threshold}


def _list_counts(counts: Mapping[str, Any], suffix: str) -> dict[str, float | None]:
    names = {
        "true": "true_objects",
        "found": "found_objects",
        "error": "count_error",
        "net_error": "net_count_error",
    }
    return {f"{names[key]}{suffix}": counts.get(key) for key in names}
