"""Advice on the next steps after an evaluation."""

from collections.abc import Iterator, Mapping
from typing import Any

from unetflow.reporting.evaluation_report.evaluation_results import MAIN, EvaluationResults
from unetflow.reporting.html.elements import DOUBTFUL, FINE, WRONG, Finding, worst_first
from unetflow.reporting.html.wording import count_of

_FEW_IMAGES = 20
_CLEAR = 0.1
"""A smaller difference between two scores needs no advice."""
_LOW = 0.5


def advise(results: EvaluationResults, card: Mapping[str, Any]) -> list[Finding]:
    """Return advice about a model, the worst finding first.

    Args:
        results: The results of its evaluation.
        card: See `describe_model`.
    """
    found = [
        *_check_baseline(results),
        *_check_number(results),
        *_check_training(results),
        *_check_balance(results),
        *_check_images(results),
    ]
    if card["run"]["changed"]:
        text = "Files differed from the git commit, so that this run cannot be repeated exactly."
        fix = "Commit them, and run again before you publish a number."
        found.append(Finding(DOUBTFUL, text, fix, "repeat"))
    if not found:
        fix = "Try the model on new images, and check some masks before you trust them all."
        found = [Finding(FINE, "Nothing stands out.", fix, "summary")]
    return worst_first(found)


def _check_baseline(results: EvaluationResults) -> Iterator[Finding]:
    if "otsu_dice" not in results.scores:
        return
    model, otsu = (float(results.scores[name]["mean"]) for name in (MAIN, "otsu_dice"))
    if otsu >= model:
        yield Finding(
            WRONG,
            f"Otsu's threshold, which learns nothing, is no worse: Dice {otsu:.3f}.",
            "Check the masks in the data report, then train longer. If the masks are right and the "
            "scores stay the same, a threshold is sufficient for these images.",
            "scores",
        )


def _check_number(results: EvaluationResults) -> Iterator[Finding]:
    number = len(results.image_scores)
    if number < _FEW_IMAGES:
        yield Finding(
            DOUBTFUL,
            f"There are only {count_of(number, 'test image')}: others could give quite different "
            "scores.",
            f"Annotate more, or raise `ingestion.split.test`, to test on at least {_FEW_IMAGES}.",
            "data",
        )


def _check_training(results: EvaluationResults) -> Iterator[Finding]:
    best = results.best_epoch
    epochs = len(results.history)
    if best["epoch"] == 1 < epochs:
        yield Finding(
            DOUBTFUL,
            "The first epoch was the best on the validation images.",
            "Lower `training.learning_rate`, and check with `--env debug` whether the network "
            "learns at all.",
            "learning",
        )
    if best["epoch"] == epochs:
        yield Finding(
            DOUBTFUL,
            "The last epoch was the best: the network was still learning.",
            "Raise `training.epochs`, or `training.minutes` if it is set.",
            "learning",
        )
    if best["dice"] - best["val_dice"] > _CLEAR:
        yield Finding(
            DOUBTFUL,
            f"The network overfits: its Dice is {best['dice']:.3f} on training crops and "
            f"{best['val_dice']:.3f} on validation images.",
            "Annotate more images, which helps most, or strengthen `augmentation`.",
            "learning",
        )
    test = float(results.scores[MAIN]["mean"])
    if best["val_dice"] - test > _CLEAR:
        yield Finding(
            DOUBTFUL,
            f"The test images score lower ({test:.3f}) than the validation images "
            f"({best['val_dice']:.3f}).",
            "Check below which ones do, and whether there are similar training images; "
            "`ingestion.split.strategy: stratified` makes the splits more similar.",
            "images",
        )


def _check_balance(results: EvaluationResults) -> Iterator[Finding]:
    if not {"precision", "recall"} <= set(results.scores):
        return
    precision, recall = (float(results.scores[name]["mean"]) for name in ("precision", "recall"))
    values = f"precision {precision:.3f}, recall {recall:.3f}."
    if precision - recall > _CLEAR:
        yield Finding(
            DOUBTFUL,
            f"The model misses more than it adds: {values}",
            "Try `training.loss: {bce: 1, tversky: 1}`, or a larger "
            "`training.foreground_fraction`.",
            "images",
        )
    elif recall - precision > _CLEAR:
        yield Finding(
            DOUBTFUL,
            f"The model adds more than it misses: {values}",
            "Check below what it mistakes for foreground, and add such images to the training, "
            "also empty ones.",
            "images",
        )


def _check_images(results: EvaluationResults) -> Iterator[Finding]:
    low = int((results.image_scores[MAIN] < _LOW).sum())
    if low:
        has = "has" if low == 1 else "have"
        yield Finding(
            DOUBTFUL,
            f"{count_of(low, 'test image')} of {len(results.image_scores):,} {has} a Dice below "
            f"{_LOW}.",
            "Check the worst first: is the mask right, and are there similar training images?",
            "images",
        )
    labels = results.suspicious_labels
    if labels is not None and len(labels):
        text = f"{count_of(len(labels), 'training mask')} may be wrong."
        fix = "Check them, since the network learns from wrong masks, too."
        yield Finding(DOUBTFUL, text, fix, "labels")
