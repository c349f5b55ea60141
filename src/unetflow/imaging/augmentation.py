"""Random changes of training crops, through albumentations.

Albumentations stays behind this one module. A policy is plain data: a list of steps, each with the
name of an albumentations transform and its arguments, so that it can be stored and repeated.
"""

import inspect
import os
import random
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetflow.imaging.errors import InputError
from unetflow.imaging.labels import Label

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it asks the network on import otherwise

Policy = Sequence[dict[str, Any]]

TRANSFORMS = (
    "HorizontalFlip",
    "VerticalFlip",
    "RandomRotate90",
    "RandomBrightnessContrast",
    "GaussNoise",
    "ElasticTransform",
)


class Augmenter:
    """Applies a policy to crops; the same seed changes the same crop in the same way.

    It may be called from several threads at once: albumentations keeps its random state in the
    transform, so each thread builds one of its own.

    Args:
        policy: Steps as `build_policy` makes them.

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

    def __call__(
        self, image: NDArray[np.float32], label: Label, seed: int
    ) -> tuple[NDArray[np.float32], Label]:
        """Change an image and its label together.

        Args:
            image: `(height, width, channels)` float32 in [0, 1].
            label: `(height, width)` uint8; moved by nearest neighbour, never interpolated.
            seed: What the change depends on.

        Returns:
            Image and label of the same types; a turn swaps height and width.
        """
        if not hasattr(self._local, "transform"):
            self._local.transform = self._build()
        transform = self._local.transform
        # Not `set_random_seed`: that gives each step the same numbers, so that all or none happen.
        seed %= 2**32
        transform.set_random_state(np.random.default_rng(seed), random.Random(seed))  # noqa: S311 - no secret
        changed = transform(image=image, mask=label)
        pixels = changed["image"]
        return pixels if pixels.ndim == 3 else pixels[:, :, np.newaxis], changed["mask"]

    def _build(self) -> Any:
        from albumentations import Compose

        return Compose([_build_step(step) for step in self._policy])


def _build_step(step: dict[str, Any]) -> Any:
    import albumentations

    arguments = dict(step)
    name = arguments.pop("transform", None)
    if name not in TRANSFORMS:
        raise InputError(
            "augmentation policy",
            f"'{name}' is not a transform that it may use",
            f"Use one of {', '.join(TRANSFORMS)}",
        )
    transform = getattr(albumentations, name)
    try:
        # Albumentations itself only warns of unknown arguments, and drops them.
        inspect.signature(transform).bind(**arguments)
        return transform(**arguments)
    except (TypeError, ValueError) as error:
        raise InputError(
            "augmentation policy", f"{name} refuses its arguments ({error})", "Correct them"
        ) from error


def build_policy(
    *,
    flips: bool,
    right_angle_rotations: bool,
    brightness: float,
    contrast: float,
    noise: float,
    elastic_displacement: float,
    elastic_smoothness: float,
) -> list[dict[str, Any]]:
    """Write a policy from a few plain settings; 0 or false leaves a step out.

    Args:
        flips: Mirror left to right and top to bottom, each for half of the crops.
        right_angle_rotations: Turn by 0, 90, 180 or 270 degrees.
        brightness: Largest shift, as a share of the training data's intensity range.
        contrast: Largest change of contrast, as a share.
        noise: Largest standard deviation of Gaussian noise, as a share of the range.
        elastic_displacement: Strength of the elastic deformation (albumentations' `alpha`): the
            factor on a smoothed field of random displacements.
        elastic_smoothness: Standard deviation in pixels of the Gaussian that smooths that field.

    Returns:
        The steps, each a dictionary of plain values.
    """
    policy: list[dict[str, Any]] = []
    if flips:
        policy += [
            {"transform": "HorizontalFlip", "p": 0.5},
            {"transform": "VerticalFlip", "p": 0.5},
        ]
    if right_angle_rotations:
        policy.append({"transform": "RandomRotate90", "p": 1.0})
    if elastic_displacement:
        policy.append(
            {
                "transform": "ElasticTransform",
                "alpha": float(elastic_displacement),
                "sigma": float(elastic_smoothness),
                "interpolation": 1,  # OpenCV's bilinear
                "mask_interpolation": 0,  # OpenCV's nearest neighbour
                "border_mode": 4,  # OpenCV's mirroring without doubling the border
                "same_dxdy": False,
                "p": 0.3,
            }
        )
    if brightness or contrast:
        policy.append(
            {
                "transform": "RandomBrightnessContrast",
                "brightness_limit": [-float(brightness), float(brightness)],
                "contrast_limit": [-float(contrast), float(contrast)],
                "p": 0.5,
            }
        )
    if noise:
        policy.append({"transform": "GaussNoise", "std_range": [0.0, float(noise)], "p": 0.5})
    return policy
