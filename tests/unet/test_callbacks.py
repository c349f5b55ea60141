import io
import logging
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import rich
from rich.console import Console

from tests.unet.helpers import (
    GREY,
    ONE_PIXEL,
    dice_slowly,
    loss_slowly,
    randomise,
    tiny_unet,
)
from unetflow.imaging.errors import InputError
from unetflow.imaging.samples import Sample
from unetflow.unet import callbacks
from unetflow.unet.callbacks import ProgressReport, StopOnNotANumber, ValidationScores
from unetflow.unet.losses import SegmentationLoss
from unetflow.unet.model import geometry_of


def _identity():
    """A network that takes the image itself for the probability of the foreground."""
    inputs = keras.Input((None, None, 1))
    return keras.Model(inputs, keras.layers.Identity()(inputs))


def _scores(network, samples, geometry=ONE_PIXEL, tile=1000):
    network.compile(loss=SegmentationLoss("bce + dice"))
    callback = ValidationScores(samples, GREY, geometry, tile)
    callback.set_model(network)
    logs = {"loss": 1.0}
    callback.on_epoch_end(0, logs)
    assert logs["loss"] == 1.0
    return logs["val_loss"], logs["val_dice"]


def _image(values):
    return np.asarray(values, np.uint8)[:, :, None]


def test_the_validation_dice_is_the_mean_of_images_and_not_of_pixels():
    right = Sample(_image(np.full((20, 30), 255)), np.ones((20, 30), np.uint8))
    wrong = Sample(_image(np.zeros((2, 3))), np.ones((2, 3), np.uint8))
    _, dice = _scores(_identity(), {"right": right, "wrong": wrong})
    pooled = 2 * 600 / (600 + 606)
    assert pooled > 0.99
    assert dice == pytest.approx(0.5)


def test_empty_images_count_as_perfect_or_as_missed():
    nothing = np.zeros((4, 4), np.uint8)
    empty = Sample(_image(nothing), nothing)
    false_alarm = Sample(_image(nothing + 255), nothing)
    assert _scores(_identity(), {"a": empty})[1] == 1
    assert _scores(_identity(), {"a": empty, "b": false_alarm})[1] == 0.5


def test_a_pixel_at_one_half_is_foreground_and_an_ignored_one_never_counts():
    label = np.array([[1, 0], [255, 255]], np.uint8)
    above, below = ([[value, 0], [255, 0]] for value in (128, 127))
    assert _scores(_identity(), {"a": Sample(_image(above), label)})[1] == 1
    assert _scores(_identity(), {"a": Sample(_image(below), label)})[1] == 0


def test_both_scores_equal_a_walk_over_whole_images_of_several_sizes(random):
    unet = randomise(tiny_unet(depth=1), seed=2)
    samples = {
        f"{height}": Sample(
            random.integers(0, 256, (height, width, 1), np.uint8),
            random.choice([0, 1, 255], (height, width)).astype(np.uint8),
        )
        for height, width in ((16, 20), (6, 8), (32, 2))
    }
    losses, dices = [], []
    for sample in samples.values():
        probability = np.asarray(unet((sample.image / 255.0)[None]))[0]
        losses.append(loss_slowly(sample.label, probability))
        dices.append(dice_slowly(sample.label, probability))
    loss, dice = _scores(unet, samples, geometry_of(unet))
    assert loss == pytest.approx(np.mean(losses), rel=1e-4)
    assert dice == pytest.approx(np.mean(dices), rel=1e-6)


def test_the_scores_of_a_valid_network_cover_the_whole_image(random):
    unet = randomise(tiny_unet(depth=1, padding="valid"), seed=2)
    image = random.integers(0, 256, (12, 12, 1), np.uint8)
    label = random.integers(0, 2, (12, 12)).astype(np.uint8)
    mirrored = np.pad(image / 255.0, [(8, 8), (8, 8), (0, 0)], mode="reflect")
    probability = np.asarray(unet(mirrored[None]))[0]
    loss, dice = _scores(unet, {"a": Sample(image, label)}, geometry_of(unet))
    assert loss == pytest.approx(loss_slowly(label, probability), rel=1e-4)
    assert dice == pytest.approx(dice_slowly(label, probability))


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), float("-inf")])
def test_a_loss_that_is_no_number_names_the_learning_rate(loss):
    with pytest.raises(InputError) as caught:
        StopOnNotANumber().on_train_batch_end(4, {"loss": loss})
    assert str(caught.value) == (
        f"training.learning_rate: the loss became {loss} at step 5 of the epoch. "
        "Lower the learning rate."
    )


def test_a_finite_loss_goes_on():
    assert StopOnNotANumber().on_train_batch_end(4, {"loss": 1e30}) is None


LOGS = {"loss": 1.23456, "dice": 0.5, "val_loss": 2.0, "val_dice": 0.75}


def _report(monkeypatch, seconds, epochs=3):
    """Run a report through epochs that end at these seconds."""
    ticks = iter([0.0, *seconds])
    monkeypatch.setattr(callbacks, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    report = ProgressReport(epochs, steps=2)
    report.on_train_begin()
    for epoch in range(len(seconds)):
        for step in range(2):
            report.on_train_batch_end(step, LOGS)
        report.on_epoch_end(epoch, LOGS)
    report.close()


def test_each_epoch_logs_a_line_with_the_remaining_time(monkeypatch, caplog):
    with caplog.at_level(logging.INFO, "unetflow.unet.callbacks"):
        _report(monkeypatch, seconds=[100.0, 110.0, 120.0])
    first, second, third = (record.getMessage() for record in caplog.records)
    assert first == (
        "Epoch 1 of 3: loss 1.235, Dice 0.500; validation loss 2.000, Dice 0.750; "
        "at most 3 min 20 s to go"
    )
    assert second.startswith("Epoch 2 of 3")
    assert second.endswith("at most 55 s to go")
    assert third.endswith("at most 0 s to go")


@pytest.mark.parametrize("terminal", [True, False])
def test_the_bar_is_shown_on_a_terminal_only(monkeypatch, terminal):
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=terminal, width=100)
    monkeypatch.setattr(rich, "get_console", lambda: console)
    _report(monkeypatch, seconds=[1.0, 2.0, 3.0])
    assert ("epoch 3" in screen.getvalue()) == terminal
    assert ("100%" in screen.getvalue()) == terminal
