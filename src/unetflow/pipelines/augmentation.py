"""The stage `augmentation`: parameters -> augmentation policy and a preview of it."""

from typing import Any

import pandas as pd
from kedro.pipeline import Pipeline

from unetflow.augmentation.policy import Augmenter, build_policy
from unetflow.config.augmentation import AugmentationParameters
from unetflow.config.parameters import Plan
from unetflow.data.fingerprint import Fingerprint
from unetflow.data.manifest import samples_of_split
from unetflow.data.samples import SampleFolder
from unetflow.pipelines.stage import Figure, node, stage
from unetflow.visualization.figures import draw_augmentation_preview

_PREVIEWED = 4


def create_pipeline() -> Pipeline:
    """Wire the stage."""
    shown = ["augmentation_policy", "samples", "manifest", "fingerprint", "plan", "params:seed"]
    return stage(
        "augmentation",
        node(write_policy, "params:augmentation", "augmentation_policy"),
        node(preview_policy, shown, "augmentation_preview"),
    )


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
    shown = split.select(list(split)[:_PREVIEWED])
    crop_size = plan.training.crop_size
    return draw_augmentation_preview(
        shown, Augmenter(policy), fingerprint.intensity, crop_size, seed
    )
