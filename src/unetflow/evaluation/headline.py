"""The most important scores in words, for the end of a run and the top of reports."""

from collections.abc import Mapping
from typing import Any

from unetflow.evaluation.charged import YardstickComparison

CHARGED = "Dice charged for false alarms"


def describe_scores(metrics: Mapping[str, Any]) -> str:
    """Return the most important scores of `Metrics` or `summarise_folds` in one line.

    A model that does not beat its yardsticks is called that first.
    """
    verdict = describe_verdict(metrics)
    line = _describe_dice(metrics) if "dice" in metrics["scores"] else describe_absence(metrics)
    alarms = f"; {describe_alarms(metrics)}" if metrics.get("empty_images") else ""
    return f"{verdict}: {line}{alarms}{_describe_strongest(metrics)}".removeprefix(": ")


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
