"""What to do next, in sentences."""

from collections.abc import Iterator, Mapping
from typing import Any

from unetflow.reporting.evaluation_report.evaluation import MAIN, Evaluation
from unetflow.reporting.html.findings import DOUBTFUL, FINE, WRONG, Finding, worst_first
from unetflow.reporting.html.wording import count_of

_FEW_IMAGES = 20
_CLEAR = 0.1  # a smaller difference of two scores is no reason to do anything
_LOW = 0.5


def advise(evaluation: Evaluation, card: Mapping[str, Any]) -> list[Finding]:
    """Judge a model, the worst first.

    Args:
        evaluation: What was measured.
        card: See `describe_model`.
    """
    found = [
        *_judge_baseline(evaluation),
        *_judge_number(evaluation),
        *_judge_training(evaluation),
        *_judge_balance(evaluation),
        *_judge_images(evaluation),
        *_judge_run(card),
    ]
    if not found:
        fix = "Try the model on new images, and look at some masks before you trust them all."
        found = [Finding(FINE, "Nothing stands out.", fix, "summary")]
    return worst_first(found)


def _judge_baseline(evaluation: Evaluation) -> Iterator[Finding]:
    scores = evaluation.scores
    if "otsu_dice" not in scores:
        return
    model, otsu = (float(scores[name]["mean"]) for name in (MAIN, "otsu_dice"))
    if otsu >= model:
        yield Finding(
            WRONG,
            f"Otsu's threshold, which learns nothing, is no worse: Dice {otsu:.3f}.",
            "Look at the masks in the data report, then train longer; if the masks are right and "
            "it stays so, a threshold is all that these images need.",
            "scores",
        )


def _judge_number(evaluation: Evaluation) -> Iterator[Finding]:
    number = len(evaluation.image_scores)
    if number < _FEW_IMAGES:
        yield Finding(
            DOUBTFUL,
            f"The scores rest on only {count_of(number, 'test image')}: others could have given "
            "quite different ones.",
            f"Annotate more, or raise `ingestion.split.test`; {_FEW_IMAGES} or more are better.",
            "data",
        )


def _judge_training(evaluation: Evaluation) -> Iterator[Finding]:
    best = evaluation.best_epoch
    epochs = len(evaluation.history)
    if best["epoch"] == 1 < epochs:
        yield Finding(
            DOUBTFUL,
            "The first epoch was the best one: no later one did better on the validation images.",
            "Lower `training.learning_rate`, and see with `--env debug` whether it learns at all.",
            "learning",
        )
    if best["epoch"] == epochs:
        yield Finding(
            DOUBTFUL,
            "The last epoch was the best one: the network was still learning.",
            "Raise `training.epochs`, or `training.minutes` if it is set.",
            "learning",
        )
    if best["dice"] - best["val_dice"] > _CLEAR:
        yield Finding(
            DOUBTFUL,
            f"It knows its training crops (Dice {best['dice']:.3f}) better than the validation "
            f"images ({best['val_dice']:.3f}).",
            "More annotated images help most, then stronger `augmentation`.",
            "learning",
        )
    test = float(evaluation.scores[MAIN]["mean"])
    if best["val_dice"] - test > _CLEAR:
        yield Finding(
            DOUBTFUL,
            f"The test images score lower ({test:.3f}) than the validation images "
            f"({best['val_dice']:.3f}).",
            "See below which ones, and whether the training images show their like; "
            "`ingestion.split.strategy: stratified` makes the splits more alike.",
            "images",
        )


def _judge_balance(evaluation: Evaluation) -> Iterator[Finding]:
    scores = evaluation.scores
    if not {"precision", "recall"} <= set(scores):
        return
    precision, recall = (float(scores[name]["mean"]) for name in ("precision", "recall"))
    if precision - recall > _CLEAR:
        yield Finding(
            DOUBTFUL,
            f"It misses more than it adds: recall {recall:.3f}, precision {precision:.3f}.",
            "Try `training.loss: bce + tversky`, or a larger `training.foreground_fraction`.",
            "images",
        )
    elif recall - precision > _CLEAR:
        yield Finding(
            DOUBTFUL,
            f"It adds more than it misses: precision {precision:.3f}, recall {recall:.3f}.",
            "See below what it takes for foreground, and add such images to the training, also "
            "empty ones.",
            "images",
        )


def _judge_images(evaluation: Evaluation) -> Iterator[Finding]:
    low = int((evaluation.image_scores[MAIN] < _LOW).sum())
    if low:
        yield Finding(
            DOUBTFUL,
            f"{count_of(low, 'test image')} of {len(evaluation.image_scores):,} "
            f"{'has' if low == 1 else 'have'} a Dice below {_LOW}.",
            "Begin with the worst: is the mask right, and do training images show its like?",
            "images",
        )
    labels = evaluation.suspicious_labels
    if labels is not None and len(labels):
        yield Finding(
            DOUBTFUL,
            f"{count_of(len(labels), 'training mask')} may be wrong.",
            "Look at them: wrong masks teach wrong things.",
            "labels",
        )


def _judge_run(card: Mapping[str, Any]) -> Iterator[Finding]:
    if card["run"]["changed"]:
        yield Finding(
            DOUBTFUL,
            "Files differed from the git commit, so that nobody can repeat this run exactly.",
            "Commit them, and run again before you publish a number.",
            "repeat",
        )
