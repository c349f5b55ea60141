"""What a plan is made for: the data, the budget, and what the user has set."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from unetflow.core.errors import InputError
from unetflow.training.planner.architecture import Architecture

CHOSEN = (
    "depth",
    "base_filters",
    "crop_size",
    "batch_size",
    "tile",
    "epochs",
    "crops_per_image",
)
"""What a plan chooses."""


@dataclass(frozen=True)
class Choice:
    """A network and the sizes of what goes through it, named as in the parameters."""

    depth: int
    base_filters: int
    crop_size: int
    batch_size: int
    tile: int


@dataclass(frozen=True)
class Task:
    """What a plan is made for.

    Attributes:
        channels: Channels of the images.
        outputs: Channels of the network's output.
        median_size: Median height and width in pixels.
        largest_size: Largest height and width in pixels, over all splits.
        training_images: Their number.
        validation_images: Likewise.
        memory: Bytes that are granted.
        seconds: Those that are granted.
        normalisation: See `unet.build_unet`.
        padding: Likewise.
        deep_supervision: Likewise.
        loss: See `config.loss_terms`.
        optimiser: See `training.optimisers.build_optimiser`.
        averaged: Whether a running average of the weights is kept beside them.
        given: What the user has set of what a plan chooses.
    """

    channels: int
    outputs: int
    median_size: tuple[int, int]
    largest_size: tuple[int, int]
    training_images: int
    validation_images: int
    memory: float
    seconds: float
    normalisation: str
    padding: str
    deep_supervision: int
    loss: str
    optimiser: str
    averaged: bool
    given: Mapping[str, int]

    @property
    def median_edge(self) -> int:
        """The shorter of the images' median height and width, in pixels."""
        return min(self.median_size)

    def architecture(self, depth: int, base_filters: int) -> Architecture:
        """Return the network with these two."""
        return Architecture(
            self.channels,
            base_filters,
            depth,
            self.outputs,
            self.normalisation,
            self.padding,
            self.deep_supervision,
        )


def read_task(
    fingerprint: Mapping[str, Any], budget: Mapping[str, float], given: Mapping[str, Any]
) -> Task:
    """Put together what a plan is made for.

    Raises:
        InputError: The budget is not above zero.
    """
    for name in ("memory_gb", "minutes"):
        if budget[name] <= 0:
            raise InputError(f"budget.{name}", f"{budget[name]} is too little", "Grant more")
    height, width = fingerprint["height"], fingerprint["width"]
    classes = len(fingerprint["class_frequencies"])
    samples = fingerprint["samples"]
    return Task(
        channels=fingerprint["channels"],
        # Two classes need one probability only.
        outputs=1 if classes == 2 and given.get("head") != "softmax" else classes,
        median_size=(int(height["median"]), int(width["median"])),
        largest_size=(fingerprint["largest"]["height"], fingerprint["largest"]["width"]),
        training_images=samples["train"],
        validation_images=samples.get("validation", 0),
        memory=1e9 * budget["memory_gb"],
        seconds=60 * budget["minutes"],
        normalisation=given.get("normalisation") or "batch",
        padding=given.get("padding") or "same",
        deep_supervision=given.get("deep_supervision") or 0,
        loss=given.get("loss") or "bce + dice",
        optimiser=given.get("optimiser") or "adam",
        averaged=bool(given.get("ema_momentum")),
        given={name: given[name] for name in CHOSEN if given.get(name) is not None},
    )
