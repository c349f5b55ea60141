"""The stage `cross_validation`: samples in folds -> segmenters, their scores and an ensemble."""

from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
from kedro.pipeline import Node, Pipeline

from unetflow.augmentation.object_targets import ObjectTargetFolder
from unetflow.augmentation.weight_map import WeightFolder
from unetflow.config.classes import Classes
from unetflow.config.evaluation import EvaluationParameters
from unetflow.config.parameters import Plan
from unetflow.core.errors import InputError
from unetflow.data.fingerprint import Fingerprint, measure_fingerprint
from unetflow.data.manifest import count_folds, manifest_of_fold
from unetflow.data.samples import SampleFolder
from unetflow.evaluation import fold_summary
from unetflow.pipelines.construction import construct_unet
from unetflow.pipelines.evaluation import find_groups, score_test_images, summarise
from unetflow.pipelines.evaluation_tuning import finish_segmenter
from unetflow.pipelines.stage import BeginFold, Segmenter, node, stage
from unetflow.pipelines.training import compute_object_targets, compute_weight_maps, train_unet
from unetflow.training.saved_states import CheckpointFolder

Trained = tuple[dict[str, Segmenter], dict[str, pd.DataFrame]]


def create_pipeline() -> Pipeline:
    """Wire the stage."""
    return stage("cross_validation", *_train(), *_score_ensemble(), tags=("training",))


def _train() -> list[Node]:
    """Return the nodes that train and score a network for each fold."""
    return [
        node(
            compute_fold_weight_maps,
            [
                "samples",
                "manifest",
                "fingerprint",
                "params:classes",
                "plan",
                "fold_weight_maps_before",
            ],
            "fold_weight_maps",
        ),
        node(
            compute_fold_object_targets,
            ["samples", "manifest", "plan", "fold_object_targets_before"],
            "fold_object_targets",
        ),
        node(
            train_folds,
            [
                "samples",
                "manifest",
                "params:classes",
                "augmentation_policy",
                "fold_weight_maps",
                "fold_object_targets",
                "plan",
                "params:evaluation",
                "params:seed",
                "fold_log",
                "fold_checkpoints",
            ],
            ["fold_segmenters", "fold_scores"],
        ),
        node(
            gather_scores,
            ["fold_scores", "manifest", "params:classes", "params:seed"],
            ["cross_validation_scores", "cross_validation_metrics"],
            "gather_fold_scores",
        ),
    ]


def _score_ensemble() -> list[Node]:
    """Return the nodes that average the networks and score their ensemble."""
    scores = ["ensemble_scores", "ensemble_pooled_scores", "ensemble_object_scores"]
    return [
        node(average_folds, ["fold_segmenters", "manifest"], "ensemble"),
        node(
            score_test_images,
            ["ensemble", "samples", "manifest", "params:evaluation"],
            scores,
            "score_ensemble",
        ),
        node(
            summarise,
            [*scores, "ensemble", "manifest", "params:evaluation", "params:seed"],
            "ensemble_metrics",
            "summarise_ensemble",
        ),
    ]


def compute_fold_weight_maps(
    samples: SampleFolder,
    manifest: pd.DataFrame,
    fingerprint: Fingerprint,
    classes: Classes,
    plan: Plan,
    weight_maps_before: WeightFolder,
) -> WeightFolder:
    """Compute the weight maps of all samples in folds, since each fold trains at some time.

    Raises:
        InputError: A cross-validation with these parameters makes no sense.
    """
    count_folds(manifest)
    if plan.training.overfit_crops:
        raise InputError(
            "training.overfit_crops",
            "overfitted crops say nothing about other images",
            "Set it to 0 for a cross-validation",
        )
    everyone = _train_on_all(manifest)
    return compute_weight_maps(samples, everyone, fingerprint, classes, plan, weight_maps_before)


def compute_fold_object_targets(
    samples: SampleFolder,
    manifest: pd.DataFrame,
    plan: Plan,
    object_targets_before: ObjectTargetFolder,
) -> ObjectTargetFolder:
    """Compute the targets for objects of all samples in folds."""
    return compute_object_targets(samples, _train_on_all(manifest), plan, object_targets_before)


def train_folds(
    samples: SampleFolder,
    manifest: pd.DataFrame,
    classes: Classes,
    policy: list[dict[str, Any]],
    weight_maps: WeightFolder,
    object_targets: ObjectTargetFolder,
    plan: Plan,
    evaluation: EvaluationParameters,
    seed: int,
    begin: BeginFold,
    checkpoints: CheckpointFolder,
) -> Iterator[Trained]:
    """Train a network for each fold on other folds, and score it on the one that is held out.

    Everything learnt from data, also the scaling of intensities and the threshold, comes from other
    folds; see `data.manifest.manifest_of_fold`. Each starts from random weights. `begin` returns
    the listeners of the fold of a name.

    Yields:
        For each fold, under its name, the segmenter and the scores of its images (see
        `score_test_images`) with `fold` and `threshold`.
    """
    for fold, name in enumerate(_name_folds(manifest)):
        part = manifest_of_fold(manifest, fold)
        fingerprint = measure_fingerprint(part, samples, list(classes))
        with begin(name) as (listeners, tell_scores):
            unet, _ = train_unet(
                construct_unet(fingerprint, classes, plan, seed, None),
                samples,
                part,
                fingerprint,
                policy,
                weight_maps,
                object_targets,
                plan,
                seed,
                listeners,
                checkpoints,
            )
            segmenter, _, _ = finish_segmenter(
                unet, samples, part, fingerprint, classes, evaluation, plan, seed
            )
            scored = score_test_images(segmenter, samples, part, evaluation)
            tell_scores(summarise(*scored, segmenter, part, evaluation, seed))
        yield (
            {name: segmenter},
            {name: scored[0].assign(fold=fold, threshold=segmenter.postprocessing.threshold)},
        )


def gather_scores(
    fold_scores: dict[str, Callable[[], pd.DataFrame]],
    manifest: pd.DataFrame,
    classes: Classes,
    seed: int,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Concatenate the scores of all folds, and summarise them."""
    tables = [fold_scores[name]() for name in _name_folds(manifest)]  # may hold more of before
    scores = fold_summary.gather_scores(tables, manifest)
    groups = find_groups(manifest, scores)
    return scores, fold_summary.summarise_folds(scores, classes.names, groups, seed)


def average_folds(
    fold_segmenters: dict[str, Callable[[], Segmenter]], manifest: pd.DataFrame
) -> Segmenter:
    """Average the segmenters of all folds; see `inference.ensemble.average_segmenters`."""
    from unetflow.inference.ensemble import average_segmenters

    return average_segmenters([fold_segmenters[name]() for name in _name_folds(manifest)])


def _train_on_all(manifest: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of all samples in folds, as those of a training split."""
    return manifest[manifest["fold"] >= 0].assign(split="train")


def _name_folds(manifest: pd.DataFrame) -> list[str]:
    """Return the name of each fold's run and files."""
    return [f"fold_{fold}" for fold in range(count_folds(manifest))]
