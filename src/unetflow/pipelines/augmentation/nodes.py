"""Nodes of `augmentation`: the policy and a preview of it."""

from typing import Any

import pandas as pd

from unetflow.augmentation.policy import Augmenter, build_policy
from unetflow.config.augmentation import AugmentationParameters
from unetflow.config.plan import Plan
from unetflow.data.fingerprint import Fingerprint
from unetflow.data.manifest import samples_of_split
from unetflow.data.samples import SampleFolder
from unetflow.pipelines.types import Figure
from unetflow.visualization.figures import draw_augmentation_preview

_PREVIEWED = 4


def write_policy(augmentation: AugmentationParameters) -> list[dict[str, Any]]:
    """Return the augmentation policy; see `augmentation.policy.build_policy`."""
    return build_policy(augmentation)


def preview_policy(
    policy: list[dict[str, Any]],
    samples: SampleFolder,
    manifest: pd.DataFrame,
    fingerprint: Fingerprint,
    plan: Plan,
    seed: int,
) -> Figure:
    """Draw a few training crops without and with augmentation."""
    split = samples_of_split(samples, manifest, "train")
    chosen = list(split)[:_PREVIEWED]
    return draw_augmentation_preview(
        split.select(chosen),
        Augmenter(policy),
        fingerprint.intensity,
        plan.training.crop_size,
        seed,
    )
