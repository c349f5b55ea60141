"""The most important scores in words, for the end of a run and the top of reports."""

from collections.abc import Mapping
from typing import Any

from unetflow.evaluation.charged import YardstickComparison

CHARGED = "Dice charged for false alarms"
COUNT_LIMIT = 0.2
"""Count error above which counts are warned of; see `object_counts.ObjectCounts.error`."""


def describe_scores(metrics: Mapping[str, Any]) -> str:
    """Return the most important scores of `Metrics` or `summarise_folds` in one line.

    A model that does not beat its yardsticks is called that first.
    """
    verdict = describe_verdict(metrics)
    line = _describe_dice(metrics) if "dice" in metrics["scores"] else describe_absence(metrics)
    alarms = f"; {describe_alarms(metrics)}" if metrics.get("empty_images") else ""
    objects = f"; {_describe_objects(metrics)}" if metrics.get("objects") else ""
    return f"{verdict}: {line}{alarms}{_describe_strongest(metrics)}{objects}".removeprefix(": ")


def describe_verdict(metrics: Mapping[str, Any]) -> str:
    """Say that a model is no better than its strongest yardstick; empty where it is, or unknown."""
    compared = compare_yardsticks(metrics)
    if compared is None or compared.is_better:
        return ""
    return f"No better than {compared.strongest}"


def describe_alarms(metrics: Mapping[str, Any]) -> str:
    """Say how many of the empty images got a false alarm: "3 of 70 empty images got ..."."""
    alarms, empty = metrics["false_alarms"], metrics["empty_images"]
    images = "image" if empty == 1 else "images"
    return f"{alarms:,} of {empty:,} empty {images} got a false alarm"


def describe_absence(metrics: Mapping[str, Any]) -> str:
    """Say why there is no Dice."""
    kind, what = _kind_of(metrics), _name_class(metrics) if _is_one(metrics) else "foreground"
    return f"No Dice, since none of the {_count_images(metrics):,} {kind} holds {what}"


def describe_images(metrics: Mapping[str, Any]) -> str:
    """Say which images the scores of pixels are means over."""
    images, held = _count_images(metrics), metrics.get("images_with_foreground")
    kind = _kind_of(metrics)
    if held is None or held == images:
        return f"{images} {kind}"
    return f"the {held:,} of {images:,} {kind} that hold {'it' if _is_one(metrics) else 'any'}"


def compare_yardsticks(metrics: Mapping[str, Any]) -> YardstickComparison | None:
    """Return what `metrics` say about yardsticks; None for those of earlier versions."""
    yardsticks = metrics.get("yardsticks")
    if not yardsticks:
        return None
    return YardstickComparison(metrics["pooled"]["charged_dice"]["value"], dict(yardsticks))


def describe_count(metrics: Mapping[str, Any], class_name: str | None = None) -> str:
    """Say how many objects are found and how many there are, of all classes or of one.

    The metrics have `objects`, and `objects_by_class` with the class where one is given.
    """
    counts = metrics["objects"] if class_name is None else metrics["objects_by_class"][class_name]
    if class_name is None and _is_one(metrics):
        class_name = metrics["class"]
    what = f" of class '{class_name}'" if class_name else ""
    images, numbered = _count_images(metrics), counts["images"]
    which = f"{numbered:,} of {images:,}" if numbered < images else f"{images:,}"
    line = f"{counts['found']:,} objects{what} are found where there are {counts['true']:,}"
    line += f", in {which} {_kind_of(metrics)}"
    if counts["error"] is None:
        return line
    return (
        f"{line}: the count is off by {_percent(counts['error'])} image by image, and by "
        f"{_percent(counts['net_error'], sign=True)} in total"
    )


def warn_of_counts(metrics: Mapping[str, Any]) -> list[str]:
    """Return the counts that are off by more than `COUNT_LIMIT`, each as in `describe_count`.

    It is empty where none is, and where no image numbers its objects.
    """
    if not metrics.get("objects"):
        return []
    each = [name for name, c in metrics["objects_by_class"].items() if _is_wrong(c)]
    whole = [None] if _is_wrong(metrics["objects"]) else []
    return [describe_count(metrics, name) for name in (*whole, *each)]


def _is_wrong(counts: Mapping[str, Any]) -> bool:
    """Return whether a count is off by too much: any object is too many where there is none."""
    if counts["error"] is None:
        return bool(counts["found"])
    return bool(counts["error"] > COUNT_LIMIT)


def _describe_objects(metrics: Mapping[str, Any]) -> str:
    counts, f1 = metrics["objects"], metrics["scores"].get("object_f1_iou50")
    if counts["error"] is None:
        return f"objects: {counts['found']:,} found where there are none"
    matched = "" if f1 is None else f"F1 {f1['mean']:.3f}, "
    return f"objects: {matched}count off by {_percent(counts['error'])}"


def _percent(fraction: float, *, sign: bool = False) -> str:
    return f"{100 * fraction:{'+' if sign else ''}.1f} %"


def charges_count(metrics: Mapping[str, Any]) -> bool:
    """Return whether the charged Dice may differ from the mean Dice as it is printed."""
    compared, dice = compare_yardsticks(metrics), metrics["scores"].get("dice")
    if compared is None or compared.own is None or dice is None:
        return False
    return bool(metrics["empty_images"]) or f"{compared.own:.3f}" != f"{dice['mean']:.3f}"


def _describe_dice(metrics: Mapping[str, Any]) -> str:
    scores, images = metrics["scores"], describe_images(metrics)
    dice = scores["dice"]
    if "folds" in metrics:
        spread = dice["spread"]
        known = "unknown" if spread is None else f"{spread:.3f}"
        return (
            f"Dice {dice['mean']:.3f} (standard deviation of the folds' means {known}) over "
            f"{images}, each segmented by the network of {metrics['folds']} that has not seen it"
        )
    names = {"dice": "Dice", "iou": "IoU", "precision": "precision", "recall": "recall"}
    shown = [f"{text} {scores[n]['mean']:.3f}" for n, text in names.items() if n in scores]
    return f"{', '.join(shown)} of {_name_class(metrics)}, mean over {images}"


def _describe_strongest(metrics: Mapping[str, Any]) -> str:
    """Return the strongest yardstick, beside the figure that it is compared with."""
    compared = compare_yardsticks(metrics)
    if compared is None:
        otsu = metrics["scores"].get("otsu_dice")
        return "" if otsu is None else f" (Otsu's threshold: Dice {otsu['mean']:.3f})"
    name = compared.strongest
    best = f"({name}: {'' if charges_count(metrics) else 'Dice '}{compared.yardsticks[name]:.3f})"
    return f"; {CHARGED} {compared.own:.3f} {best}" if charges_count(metrics) else f" {best}"


def _count_images(metrics: Mapping[str, Any]) -> int:
    return int(metrics["images"] if "folds" in metrics else metrics["test_images"])


def _kind_of(metrics: Mapping[str, Any]) -> str:
    return "images" if "folds" in metrics else "test images"


def _is_one(metrics: Mapping[str, Any]) -> bool:
    """Return whether the scores are of one class, not means of several."""
    return not str(metrics["class"]).startswith("mean of ") or metrics.get("threshold") is not None


def _name_class(metrics: Mapping[str, Any]) -> str:
    name = str(metrics["class"])
    return f"class '{name}'" if _is_one(metrics) else name
