import numpy as np
import pandas as pd

from tests.metrics.test_pixels import label
from tests.support.mean_dice import mean_dice
from unetflow.metrics.epochs import find_best_epoch, rank_epoch
from unetflow.metrics.pixels import ChargedDice

NAN = float("nan")


def _best(dices, losses):
    return find_best_epoch(pd.DataFrame({"val_dice": dices, "val_loss": losses}))


def test_the_highest_dice_wins_and_the_lower_loss_among_equals():
    assert _best([0.1, 0.5, 0.4], [1, 9, 1]) == 1
    assert _best([0.5, 0.5, 0.4], [2, 1, 0]) == 1
    assert _best([0.5, 0.5], [1, 1]) == 0


def test_the_loss_decides_while_nothing_is_found_and_where_there_is_no_dice():
    assert _best([0, 0, 0], [3, 1, 2]) == 1
    assert _best([NAN, NAN, NAN], [3, 1, 2]) == 1


def test_a_loss_that_is_not_a_number_is_worse_than_any_other():
    assert _best([0.5, 0.5], [NAN, 1e9]) == 1
    assert rank_epoch({"val_dice": 0, "val_loss": 1}) > rank_epoch({"val_dice": 0, "val_loss": NAN})


def test_where_most_images_are_empty_the_network_that_learns_wins():
    """70 of 100 images are empty. The first epoch finds nothing, the others ever more."""
    defect, nothing = np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.uint8)
    defect[3, 1:7] = 1
    truths = [defect] * 30 + [nothing] * 70
    part, alarm = label(*defect), label(*nothing)
    part[3, 4:], alarm[5, 5] = 0, 1
    epochs = [
        [nothing] * 100,
        [part] * 5 + [nothing] * 25 + [alarm] * 40 + [nothing] * 30,
        [part] * 20 + [nothing] * 10 + [alarm] * 30 + [nothing] * 40,
        [defect] * 10 + [part] * 20 + [alarm] * 25 + [nothing] * 45,
    ]
    charged, means = [], []
    for found in epochs:
        scores = ChargedDice()
        for truth, mask in zip(truths, found, strict=True):
            scores.add_label(truth, mask, 2)
        charged.append(scores.value)
        means.append(np.mean([mean_dice(*pair, 2) for pair in zip(truths, found, strict=True)]))
    assert np.argmax(means) == 0  # the mean over all images favours finding nothing
    assert charged[0] == 0
    assert charged == sorted(charged)
    assert _best(charged, [0.1, 0.3, 0.25, 0.2]) == 3
