"""Model card: the model, its intended use and its limitations."""

from collections.abc import Mapping, Sequence
from typing import Any

from unetflow.config.parameters import Plan
from unetflow.data.fingerprint import Fingerprint
from unetflow.evaluation.headline import (
    describe_count,
    describe_scores,
    describe_verdict,
    warn_of_counts,
)
from unetflow.reporting.html_page import count_of, depth, listing


def describe_model(
    plan: Plan,
    fingerprint: Fingerprint,
    classes: Sequence[str],
    threshold: float | None,
    weights: int,
    metrics: Mapping[str, Any],
    run: Mapping[str, Any],
    removal: str = "",
    doubt: str = "",
) -> dict[str, Any]:
    """Return the model card.

    Args:
        plan: The planned parameters under `model` and `training`.
        fingerprint: Fingerprint of the data; see `data.fingerprint.measure_fingerprint`.
        classes: The names of the classes, the background first.
        threshold: Smallest probability of the foreground; None where the most probable class is
            taken.
        weights: Number of weights, trainable or not.
        metrics: The scores of the test images; see `evaluation.metrics_file.Metrics`.
        run: Facts of the run: `command`, `commit`, `changed` (whether files differed from the
            commit), `mlflow_run`, `time`, `device`, each None where unknown, and `versions`.
        removal: Which objects are removed; see `evaluation.object_rules`.
        doubt: Why counts of objects cannot be trusted; likewise.

    Returns:
        Plain values: `verdict` (that the model is no better than a yardstick; empty where it is),
        `scores` (the most important ones in words), `classes`, `threshold`, `removal`, `doubt`,
        `weights`, `input`, `model`, `training`, `data`, `run`, `intended_use` and `limits`.
    """
    low, high = fingerprint.intensity.low, fingerprint.intensity.high
    ranges = [f"{first:,g} to {last:,g}" for first, last in zip(low, high, strict=True)]
    verdict = describe_verdict(metrics)
    return {
        "verdict": verdict and f"{verdict}, which needs no learning: do not use this model.",
        "scores": describe_scores(metrics),
        "classes": list(classes),
        "threshold": threshold,
        "removal": removal,
        "doubt": doubt,
        "weights": weights,
        "input": {
            "channels": fingerprint.channels,
            "dtype": fingerprint.dtype,
            "low": list(low),
            "high": list(high),
        },
        "model": plan.model.model_dump(),
        "training": plan.training.model_dump(),
        "data": {"digest": fingerprint.digest, "samples": dict(fingerprint.samples)},
        "run": dict(run),
        "intended_use": f"Segmentation of {listing(classes[1:], most=12)} in images like the "
        f"{count_of(fingerprint.samples['train'], 'training image')}: "
        f"{count_of(fingerprint.channels, 'channel')}, {depth(fingerprint.dtype)}, from the same "
        "kind of instrument, preparation and magnification. The input is an image of any size, the "
        "output the class of each pixel.",
        "limits": [*_list_limits(classes, ranges, metrics), *([doubt] if doubt else [])],
    }


def _list_limits(
    classes: Sequence[str], ranges: Sequence[str], metrics: Mapping[str, Any]
) -> list[str]:
    """Return what the model must not be used for; `ranges` are the intensities of the channels."""
    return [
        "The scores hold for images like the test images. The model may fail on other images "
        "without a warning: test it on them first.",
        f"Intensities beyond {listing(ranges)}{', channel by channel,' * (len(ranges) > 1)} "
        "are clipped to that range.",
        f"Its only classes are {listing(classes, most=12)}: anything else in an image is "
        "assigned to one of them.",
        _limit_counts(metrics),
        "Do not use it as the only basis for decisions on health or safety.",
    ]


def _limit_counts(metrics: Mapping[str, Any]) -> str:
    """Say how far counts of objects can be relied on."""
    if not metrics.get("objects"):
        return "The scores count pixels. They do not show whether objects are counted correctly."
    if wrong := warn_of_counts(metrics):
        return f"Do not rely on its counts of objects: {'; '.join(wrong)}."
    return f"Expect counts like those of the test images: {describe_count(metrics)}."
