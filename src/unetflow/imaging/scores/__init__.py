"""How well segmentations agree with the truth. Pixels whose true label is 255 count nowhere."""

from unetflow.imaging.scores.decisions import choose_threshold, decide, tells_two_apart
from unetflow.imaging.scores.definitions import Definition
from unetflow.imaging.scores.families import DEFINITIONS, FAMILIES, ScoreSettings, score_class
from unetflow.imaging.scores.pixels import Confusion, count_confusion, mean_dice, score_label
from unetflow.imaging.scores.pooled import PooledCounts, PooledScore

__all__ = [
    "DEFINITIONS",
    "FAMILIES",
    "Confusion",
    "Definition",
    "PooledCounts",
    "PooledScore",
    "ScoreSettings",
    "choose_threshold",
    "count_confusion",
    "decide",
    "mean_dice",
    "score_class",
    "score_label",
    "tells_two_apart",
]
