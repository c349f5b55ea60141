"""What a model is, what it is for, and what it is not for, in plain values and plain words."""

from collections.abc import Mapping, Sequence
from typing import Any

from unetflow.reporting.html.wording import count_of, depth, listing


def describe_model(
    plan: Mapping[str, Any],
    fingerprint: Mapping[str, Any],
    classes: Sequence[str],
    threshold: float | None,
    weights: int,
    run: Mapping[str, Any],
) -> dict[str, Any]:
    """Put together what a person must know before using a model.

    Args:
        plan: The settled parameters under `model` and `training`.
        fingerprint: Of the data; see `manifest.measure_fingerprint`.
        classes: The names of the classes, the background first.
        threshold: The foreground's least probability; None where the most probable class counts.
        weights: How many numbers the model has, trained or not.
        run: What is known of the run: `command`, `commit`, `changed` (whether files differed from
            the commit), `mlflow_run`, `time`, `device`, each None where unknown, and `versions`.

    Returns:
        Plain values: `classes`, `threshold`, `weights`, `input`, `model`, `training`,
        `data`, `run`, `intended_use` and `limits`.
    """
    kinds = count_of(int(fingerprint["channels"]), "channel")
    bits = depth(str(fingerprint["dtype"]))
    intensity = fingerprint["intensity"]
    ranges = [
        f"{low:,g} to {high:,g}"
        for low, high in zip(intensity["low"], intensity["high"], strict=True)
    ]
    trained = int(fingerprint["samples"]["train"])
    return {
        "classes": list(classes),
        "threshold": threshold,
        "weights": weights,
        "input": {
            "channels": int(fingerprint["channels"]),
            "dtype": str(fingerprint["dtype"]),
            "low": list(intensity["low"]),
            "high": list(intensity["high"]),
        },
        "model": dict(plan["model"]),
        "training": dict(plan["training"]),
        "data": {"digest": fingerprint["digest"], "samples": dict(fingerprint["samples"])},
        "run": dict(run),
        "intended_use": f"To find {listing(list(classes[1:]), most=12)} in images like the "
        f"{count_of(trained, 'training image')}: {kinds}, {bits}, from the same kind of "
        "instrument, preparation and magnification. It takes an image of any size and gives the "
        "class of each pixel.",
        "limits": [
            "The scores hold for images like the test images. On images from elsewhere it may "
            "fail without a warning: measure it there first.",
            f"Intensities beyond {listing(ranges)}{', channel by channel,' * (len(ranges) > 1)} "
            "look to it like the end of that range.",
            f"It knows no classes but {listing(list(classes), most=12)}: whatever else an image "
            "shows becomes one of them.",
            "The scores count pixels. They don't say whether objects are counted rightly.",
            "Don't let it decide alone on anybody's health or safety.",
        ],
    }
