"""Augmentation of training crops with albumentations, which is imported when it is needed.

A policy is plain data, a list of steps, each with the name of a transform and its arguments.
"""

import inspect
import random
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetflow.config.augmentation import AugmentationParameters
from unetflow.core.errors import InputError
from unetflow.core.types import OBJECT_OUTPUTS, Label
from unetflow.data.samples import Sample

Policy = Sequence[dict[str, Any]]

TRANSFORMS = (
    "HorizontalFlip",
    "VerticalFlip",
    "RandomRotate90",
    "Affine",
    "ElasticGrid",
    "ElasticField",
    "RandomBrightnessContrast",
    "GaussNoise",
)

_SAMPLING = {
    "interpolation": 1,  # OpenCV's bilinear
    "mask_interpolation": 0,  # OpenCV's nearest neighbour
    "border_mode": 4,  # OpenCV's mirroring without doubling the border
}

_TARGETS = OBJECT_OUTPUTS["both"]
"""Names of the channels of a sample's targets, in their order; a sample may have fewer."""


class Augmenter:
    """Applies a policy to crops, as a pure function of crop and seed.

    Albumentations keeps its random state in the transform, so each thread builds its own. The
    policy has steps as `build_policy` makes them.

    Raises:
        InputError: A step has an unknown transform or wrong arguments.

    Example:
        ```python
        augmenter = Augmenter([{"transform": "HorizontalFlip", "p": 0.5}])
        image, label = augmenter(image, label, seed=1)
        ```
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = [dict(step) for step in policy]
        self._local = threading.local()
        self._local.transform = self._build()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the policy alone."""
        return Augmenter, (self._policy,)

    def __call__(
        self, image: NDArray[np.float32], label: Label, seed: int
    ) -> tuple[NDArray[np.float32], Label]:
        """Augment an image `(height, width, channels)` in [0, 1] and its label `(height, width)`.

        The label is moved by nearest neighbour. A rotation may swap height and width.
        """
        changed = self._apply(seed, image=image, mask=label)
        return changed["image"], changed["mask"]

    def change_sample(self, sample: Sample, seed: int) -> Sample:
        """Augment an image and its label as a call does, with the label's weights and targets.

        They are moved exactly like the label. The image is float32 in [0, 1].
        """
        given = {} if sample.weights is None else {"weights": sample.weights}
        if sample.object_targets is not None:
            # One by one: OpenCV rounds the places of a mask with several channels otherwise.
            given |= dict(zip(_TARGETS, np.moveaxis(sample.object_targets, 2, 0), strict=False))
        changed = self._apply(seed, image=sample.image, mask=sample.label, **given)
        moved = [changed[name] for name in _TARGETS if name in changed]
        targets = np.stack(moved, axis=2) if moved else None
        return Sample(changed["image"], changed["mask"], changed.get("weights"), targets)

    def _apply(self, seed: int, **targets: NDArray[Any]) -> dict[str, Any]:
        if not hasattr(self._local, "transform"):
            self._local.transform = self._build()
        transform = self._local.transform
        # Not `set_random_seed`: that gives each step the same numbers, so that all or none happen.
        seed %= 2**32
        transform.set_random_state(np.random.default_rng(seed), random.Random(seed))  # noqa: S311 - no secret
        changed: dict[str, Any] = transform(**targets)
        if changed["image"].ndim == 2:
            changed["image"] = changed["image"][:, :, np.newaxis]
        return changed

    def _build(self) -> Any:
        from unetflow.augmentation.transforms import Compose

        steps = [_build_step(step) for step in self._policy]
        return Compose(steps, additional_targets=dict.fromkeys(("weights", *_TARGETS), "mask"))


def _build_step(step: dict[str, Any]) -> Any:
    from unetflow.augmentation import transforms

    arguments = dict(step)
    name = arguments.pop("transform", None)
    if name not in TRANSFORMS:
        raise InputError(
            "augmentation policy",
            f"'{name}' is not a transform that it may use",
            f"Use one of {', '.join(TRANSFORMS)}",
        )
    own = name.startswith("Elastic")
    transform = getattr(transforms if own else transforms.albumentations, name)
    try:
        # Albumentations itself only warns of unknown arguments, and drops them.
        inspect.signature(transform).bind(**arguments)
        return transform(**arguments)
    except (TypeError, ValueError) as error:
        raise InputError(
            "augmentation policy", f"{name} refuses its arguments ({error})", "Correct them"
        ) from error


def build_policy(settings: AugmentationParameters) -> list[dict[str, Any]]:
    """Return the steps of a policy: first those that move pixels, then those of intensity."""
    steps: list[dict[str, Any]] = []
    if settings.flips:
        steps.append({"transform": "HorizontalFlip", "p": 0.5})
        steps.append({"transform": "VerticalFlip", "p": 0.5})
    if settings.right_angle_rotations:
        steps.append({"transform": "RandomRotate90", "p": 1.0})
    if settings.rotation or settings.shift or settings.scale:
        shift = _around(0, settings.shift)
        affine = {
            "rotate": _around(0, settings.rotation),
            "translate_percent": {"x": shift, "y": list(shift)},
            "scale": _around(1, settings.scale),
            "keep_ratio": True,
        }
        steps.append({"transform": "Affine", **affine, **_SAMPLING, "p": 0.5})
    if settings.elastic_grid:
        deviation = float(settings.elastic_grid)
        steps.append({"transform": "ElasticGrid", "standard_deviation": deviation, "p": 0.5})
    if settings.elastic_displacement:
        field = {
            "displacement": float(settings.elastic_displacement),
            "smoothness": float(settings.elastic_smoothness),
        }
        steps.append({"transform": "ElasticField", **field, "p": 0.3})
    if settings.brightness or settings.contrast:
        limits = {
            "brightness_limit": _around(0, settings.brightness),
            "contrast_limit": _around(0, settings.contrast),
        }
        steps.append({"transform": "RandomBrightnessContrast", **limits, "p": 0.5})
    if settings.noise:
        most = float(settings.noise)
        steps.append({"transform": "GaussNoise", "std_range": [0.0, most], "p": 0.5})
    return steps


def _around(middle: float, most: float) -> list[float]:
    return [float(middle - most), float(middle + most)]
