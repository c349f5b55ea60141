"""The pipeline `retraining`: data and the champion -> a challenger, and the champion of now."""

import logging
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from kedro.pipeline import Node, Pipeline

from unetflow.config.classes import Classes
from unetflow.config.parameters import Plan
from unetflow.config.retraining import RetrainingParameters
from unetflow.core.errors import InputError
from unetflow.data.fingerprint import Fingerprint
from unetflow.data.samples import SampleFolder
from unetflow.datasets.champion import ChampionRecord
from unetflow.evaluation import promotion
from unetflow.evaluation.class_meaning import keep_meaning
from unetflow.evaluation.review import make_specimen
from unetflow.pipelines import augmentation, construction, evaluation, ingestion, planning, training
from unetflow.pipelines.stage import Figure, KerasModel, Segmenter, node, stage
from unetflow.visualization.figures import draw_gallery

_log = logging.getLogger(__name__)


def create_pipeline() -> Pipeline:
    """Wire the pipeline.

    `RetrainingRunner` runs the nodes up to `look_for_reason`, and the others if there is a reason.
    """
    looked_at = [
        "champion_record",
        "samples",
        "manifest",
        "fingerprint",
        "params:classes",
        "params:retraining",
    ]
    constructed_of = [
        "retraining_reason",
        "fingerprint",
        "params:classes",
        "plan",
        "params:seed",
        "champion",
        "params:retraining",
    ]
    return (
        ingestion.create_pipeline()
        + stage("gate", node(look_for_reason, looked_at, "retraining_reason"))
        + planning.create_pipeline()
        + augmentation.create_pipeline()
        + construction.create_pipeline().only_nodes("construction.draw_network")
        + stage("construction", node(construct_challenger, constructed_of, "unet_untrained"))
        + training.create_pipeline()
        + evaluation.create_pipeline()
        + stage("decision", *_decide(), tags=("promotes",))
    )


def _decide() -> list[Node]:
    """Return the nodes that compare the challenger with the champion and may promote it."""
    return [
        node(
            decide,
            [
                "retraining_reason",
                "image_scores",
                "champion_scores",
                "manifest",
                "params:retraining",
                "params:seed",
            ],
            "retraining_decision",
        ),
        node(
            show_differences,
            ["retraining_decision", "segmenter", "champion", "samples"],
            ["differences", "differences_shown"],
        ),
        node(promote, ["retraining_decision", "report", "differences_shown"], "champion_move"),
    ]


def look_for_reason(
    record: ChampionRecord | None,
    samples: SampleFolder,
    manifest: pd.DataFrame,
    fingerprint: Fingerprint,
    classes: Classes,
    retraining: RetrainingParameters,
) -> dict[str, Any]:
    """Return whether there is a reason to train; see `evaluation.promotion`.

    New samples are predicted if their number alone is not a reason. Without a record there is no
    champion.

    Returns:
        Plain values: `due`, `reason`, `champion` (its version), `new_pairs`, `age_days`.

    Raises:
        InputError: A test image of the champion would be trained on, the classes mean something
            else than they did to the champion, or it is for other classes or images.
    """
    if record is None:
        return {"due": True, "reason": "there is no champion yet", "champion": None}
    promotion.keep_test_images(manifest, record.manifest)
    keep_meaning(manifest, record.manifest)
    new = promotion.find_new_pairs(manifest, record.manifest)
    age = (datetime.now(UTC) - record.registered).total_seconds() / 86400
    reason = promotion.find_reason(
        len(new),
        age,
        min_new_labelled=retraining.min_new_labelled,
        max_age_days=retraining.max_age_days,
    )
    watched = retraining.watched_images
    if reason is None and watched is not None and len(new) >= watched:
        segmenter = _fitting_segmenter(record, fingerprint, classes)
        reason = promotion.find_drift(
            evaluation.score_pixels(segmenter, samples.select(new["id"].tolist()))["dice"].tolist(),
            promotion.read_interval(record.metrics, record.manifest),
        )
    elif reason is not None:
        _fitting_segmenter(record, fingerprint, classes)  # fail now rather than after the training
    nothing = f"{len(new)} pairs are new since version {record.version}, {age:.0f} days ago"
    return {
        "due": reason is not None,
        "reason": reason or nothing,
        "champion": record.version,
        "new_pairs": len(new),
        "age_days": age,
    }


def construct_challenger(
    retraining_reason: dict[str, Any],
    fingerprint: Fingerprint,
    classes: Classes,
    plan: Plan,
    seed: int,
    champion: tuple[str, Segmenter] | None,
    retraining: RetrainingParameters,
) -> KerasModel:
    """Build the challenger, with the champion's weights if the parameters say so.

    Raises:
        InputError: There is no reason to train. `RetrainingRunner` stops before that.
    """
    if not retraining_reason["due"]:
        raise InputError(
            "retraining",
            f"there is no reason to train: {retraining_reason['reason']}",
            "Run it as `kedro run --pipelines retraining`, or with the runner "
            "`unetflow.pipelines.retraining.runner.RetrainingRunner`, which then stops in time",
        )
    start = None
    if retraining.start_from == "champion" and champion is not None:
        start = champion[0], champion[1].model
    return construction.construct_unet(fingerprint, classes, plan, seed, start)


def decide(
    retraining_reason: dict[str, Any],
    image_scores: pd.DataFrame,
    champion_scores: pd.DataFrame,
    manifest: pd.DataFrame,
    retraining: RetrainingParameters,
    seed: int,
) -> dict[str, Any]:
    """Decide whether the challenger replaces the champion.

    Returns:
        The fields of `evaluation.promotion.PromotionResult`.

    Raises:
        InputError: The champion could not be read.
    """
    version = retraining_reason["champion"]
    if version is None:
        result = promotion.promote_first(image_scores)
    elif not len(champion_scores):
        raise InputError(
            "champion",
            f"version {version} could not be read for the comparison",
            "See the warning above, then run the retraining again",
        )
    else:
        result = promotion.evaluate_challenger(
            image_scores,
            champion_scores,
            evaluation.find_groups(manifest, image_scores),
            margin=retraining.non_inferiority_margin,
            max_regression=retraining.max_regression,
            seed=seed,
        )
    known = {"trained_because": retraining_reason["reason"], "champion": version}
    return result.model_copy(update=known).model_dump(by_alias=True, exclude_unset=True)


def show_differences(
    retraining_decision: dict[str, Any],
    segmenter: Segmenter,
    champion: tuple[str, Segmenter] | None,
    samples: SampleFolder,
) -> tuple[Figure, list[str]]:
    """Draw the test images on which challenger and champion differ most.

    Without a champion, the challenger's worst images are drawn. The same holds where the champion
    has changed since the decision, for instance to the challenger before its run was killed.

    Returns:
        The picture, and the ids of the images in it.
    """
    if champion is not None:
        compared_with = f" version {retraining_decision['champion']}"
        champion = champion if champion[0].endswith(compared_with) else None
    specimens = []
    rows = retraining_decision["most_different"]
    for row in rows:
        title = promotion.describe_difference(row, compared=champion is not None)
        theirs = None if champion is None else champion[1]
        specimens.append(make_specimen(title, row["id"], samples, segmenter, theirs))
    return draw_gallery(specimens, segmenter.settings.classes), [row["id"] for row in rows]


def promote(
    retraining_decision: dict[str, Any], report: str, differences_shown: list[str]
) -> dict[str, Any]:
    """Return how to move the registry's aliases; see `datasets.ChampionDataset`.

    Nothing moves where the champion is kept. What is not read has to exist first: the report, once
    the challenger has been registered, and the comparison with the champion.
    """
    del report, differences_shown
    if retraining_decision["decision"] != "promoted":
        _log.info("The champion is kept: %s", retraining_decision["reason"])
        return {}
    _log.info("There is a new champion: %s", retraining_decision["reason"])
    return {"version": None, "instead_of": retraining_decision["champion"]}


def _fitting_segmenter(
    record: ChampionRecord, fingerprint: Fingerprint, classes: Classes
) -> Segmenter:
    """Load the champion, and check that it is for the same kind of images and classes."""
    segmenter = record.load_segmenter()
    known = segmenter.settings
    theirs = evaluation.describe_task(known.classes, known)
    ours = evaluation.describe_task(classes.names, fingerprint)
    if theirs != ours:
        raise InputError(
            f"models:/{record.name}/{record.version}",
            f"the champion distinguishes {theirs}, not {ours}",
            "Give the new task a `registered_model` of its own in conf/",
        )
    return segmenter
