import io
import json
import logging
import math
import re
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import rich
from rich.console import Console

from tests.support.networks import GREY, ONE_PIXEL, dice_slowly, loss_slowly, randomise, tiny_unet
from unetflow.core.errors import InputError
from unetflow.data.intensity import IntensityRange
from unetflow.data.samples import Sample
from unetflow.models.segmentation_loss import SegmentationLoss
from unetflow.models.unet import geometry_of
from unetflow.training import callbacks
from unetflow.training.callbacks import (
    ProgressReport,
    StopOnNotANumber,
    StopWithoutProgress,
    ValidationScores,
)


def _identity():
    """A network that takes the image itself for the probability of the foreground."""
    inputs = keras.Input((None, None, 1))
    return keras.Model(inputs, keras.layers.Identity()(inputs))


def _scores(network, samples, geometry=ONE_PIXEL, tile=1000):
    loss = SegmentationLoss("bce + dice")
    callback = ValidationScores(network, loss, samples, GREY, geometry, tile)
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


def test_each_prediction_is_told_with_its_image():
    label = np.array([[1, 0], [0, 255]], np.uint8)
    samples = {name: Sample(_image([[128, 0], [127, 9]]), label) for name in "ab"}
    told = []
    loss = SegmentationLoss("bce + dice")
    callback = ValidationScores(
        _identity(), loss, samples, GREY, ONE_PIXEL, 9, lambda *values: told.append(values)
    )
    callback.on_epoch_end(3, {})
    for name, (epoch, sample_id, sample, found, classes) in zip("ab", told, strict=True):
        assert (epoch, sample_id, classes) == (3, name, 2)
        assert sample is samples[name]
        np.testing.assert_array_equal(found, [[1, 0], [0, 0]])


def test_false_alarms_on_empty_images_are_charged():
    nothing, line = np.zeros((4, 4), np.uint8), np.eye(4, dtype=np.uint8)
    held = Sample(_image(line * 255), line)
    alarm = Sample(_image(np.diag([255, 0, 255, 0])), nothing)
    assert _scores(_identity(), {"a": held, "b": Sample(_image(nothing), nothing)})[1] == 1
    assert _scores(_identity(), {"a": held, "b": alarm})[1] == 1 / (1 + 2 / 4)


def test_without_foreground_in_the_validation_images_the_log_says_once_that_there_is_no_dice(
    caplog,
):
    nothing = np.zeros((4, 4), np.uint8)
    loss = SegmentationLoss("bce + dice")
    samples = {"a": Sample(_image(nothing + 255), nothing)}
    callback = ValidationScores(_identity(), loss, samples, GREY, ONE_PIXEL, 9)
    for epoch in range(2):
        logs = {}
        callback.on_epoch_end(epoch, logs)
        assert np.isnan(logs["val_dice"])
    assert caplog.text.count("compared by the validation loss alone") == 1


class _Weights:
    """A network whose weights are the number of the epoch."""

    stop_training, epoch = False, 0

    def get_weights(self):
        return [np.array(self.epoch)]

    def set_weights(self, weights):
        self.restored = int(weights[0])


def _follow(dices, losses, patience, callback=None):
    """Return the epochs that were trained, the one whose weights were kept, and the callback."""
    callback, network = callback or StopWithoutProgress(patience), _Weights()
    callback.set_model(network)
    callback.on_train_begin()
    for epoch, (dice, loss) in enumerate(zip(dices, losses, strict=True)):
        network.epoch = epoch
        callback.on_epoch_end(epoch, {"val_dice": dice, "val_loss": loss})
        if network.stop_training:
            break
    callback.on_train_end()
    return epoch + 1, network.restored, callback


NAN = float("nan")


@pytest.mark.parametrize(
    ("dices", "losses", "expected"),
    [
        ([0.1, 0.3, 0.2, 0.2, 0.9], [1, 5, 1, 1, 1], (4, 1)),
        ([0, 0, 0, 0, 0], [5, 4, 3, 2, 1], (5, 4)),
        ([0, 0, 0, 0, 0], [5, 4, 6, 7, 1], (4, 1)),
        ([NAN] * 5, [5, 4, 6, 3, 3], (5, 3)),
        ([0.5, 0.5, 0.5, 0.5, 0.5], [3, 2, 2, 2, 1], (4, 1)),
    ],
)
def test_patience_and_kept_weights_follow_dice_then_loss(dices, losses, expected):
    assert _follow(dices, losses, patience=2)[:2] == expected


def test_patience_continues_where_it_was_saved():
    _, _, before = _follow([0.3, 0.2], [1, 1], patience=2)
    facts = json.loads(json.dumps({name: getattr(before, name) for name in before.kept}))
    after, network = StopWithoutProgress(patience=2), _Weights()
    after.set_model(network)
    after.on_train_begin()
    for name, value in facts.items():
        setattr(after, name, value)
    after.best_weights = before.best_weights
    after.on_epoch_end(2, {"val_dice": 0.3, "val_loss": 1})
    assert network.stop_training
    assert after.best_epoch == 0
    after.on_epoch_end(3, {"val_dice": 0.3, "val_loss": 0.9})
    assert after.best_epoch == 3


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


def test_of_many_classes_the_most_probable_one_is_scored():
    inputs = keras.Input((None, None, 3))
    network = keras.Model(inputs, keras.layers.Softmax()(inputs))
    label = np.array([[0, 1, 2, 2, 255]], np.uint8)
    image = np.zeros((1, 5, 3), np.uint8)
    for column, found in enumerate((0, 1, 1, 2, 1)):
        image[0, column, found] = 255
    intensity = IntensityRange([0.0] * 3, [255.0] * 3)
    loss = SegmentationLoss("cce")
    samples = {"a": Sample(image, label)}
    scores = ValidationScores(network, loss, samples, intensity, ONE_PIXEL, 9)
    logs = {}
    scores.on_epoch_end(0, logs)
    assert logs["val_dice"] == pytest.approx((2 / 3 + 2 / 3) / 2)
    wrong, right = -np.log(1 / (np.e + 2)), -np.log(np.e / (np.e + 2))
    assert logs["val_loss"] == pytest.approx((3 * right + wrong) / 4, rel=1e-5)


class TestStopOnNotANumber:
    feed = SimpleNamespace(samples_of=lambda index: [f"s{index}", "b"])

    @pytest.mark.parametrize("loss", [float("nan"), float("inf"), float("-inf")])
    def test_names_the_samples_of_the_batch_and_tells_the_listener(self, loss):
        told = []
        callback = StopOnNotANumber(self.feed, told.append)
        callback.on_epoch_begin(1)
        callback.on_train_batch_end(3, {"loss": 1.0})
        with pytest.raises(InputError) as caught:
            callback.on_train_batch_end(4, {"loss": loss})
        assert str(caught.value) == (
            f"training.learning_rate: the loss became {loss} at step 5 of epoch 2, with crops of "
            "'s4', 'b'. Lower it, or set `training.global_clipnorm: 1.0`; check these images if "
            "it remains."
        )
        assert told == [
            {
                "epoch": 2,
                "step": 5,
                "loss": str(loss),
                "samples": ["s4", "b"],
                "samples_before": ["s3", "b"],
            }
        ]

    def test_knows_no_batch_before_the_first(self):
        told = []
        with pytest.raises(InputError):
            StopOnNotANumber(self.feed, told.append).on_train_batch_end(0, {"loss": np.nan})
        assert told[0]["samples_before"] == []

    def test_looks_at_the_validation_loss_too(self):
        told = []
        callback = StopOnNotANumber(self.feed, told.append)
        callback.on_epoch_begin(2)
        for batch in range(3):
            callback.on_train_batch_end(batch, {"loss": 1.0})
        with pytest.raises(InputError, match="validation images of epoch 3"):
            callback.on_epoch_end(2, {"val_loss": np.nan})
        assert told == [
            {
                "epoch": 3,
                "step": 3,
                "loss": "nan",
                "samples": ["s2", "b"],
                "samples_before": ["s1", "b"],
            }
        ]

    def test_lets_a_finite_loss_go_on(self):
        callback = StopOnNotANumber(self.feed, lambda batch: None)
        assert callback.on_train_batch_end(4, {"loss": 1e30}) is None
        assert callback.on_epoch_end(0, {"val_loss": 1e30}) is None


LOGS = {"loss": 1.23456, "dice": 0.5, "val_loss": 2.0, "val_dice": 0.75}


def _report(monkeypatch, epochs=3, logs=LOGS):
    """Run a report through epochs of 10 s: two steps of 4 s each, then 2 s of validation."""
    now = [0.0]
    monkeypatch.setattr(callbacks, "time", SimpleNamespace(monotonic=lambda: now[0]))
    report = ProgressReport(epochs, steps=2, crops=6)
    report.on_train_begin()
    for epoch in range(epochs):
        report.on_epoch_begin(epoch)
        for step in range(2):
            now[0] += 4
            report.on_train_batch_end(step, logs)
        now[0] += 2
        report.on_epoch_end(epoch, logs)
    report.close()


def test_each_epoch_logs_a_line_with_its_speed_and_the_remaining_time(monkeypatch, caplog):
    with caplog.at_level(logging.INFO, "unetflow.training.callbacks"):
        _report(monkeypatch, epochs=12)
    first, second, *_, last = (record.getMessage() for record in caplog.records)
    assert first == (
        "Epoch 1 of 12: loss 1.235, Dice 0.500; validation loss 2.000, Dice 0.750; "
        "0.75 crops/s; at most 1 min 50 s to go"
    )
    assert second.startswith("Epoch 2 of 12")
    assert last.endswith("at most 0 s to go")


def test_without_foreground_a_line_says_that_there_is_no_dice(monkeypatch, caplog):
    with caplog.at_level(logging.INFO, "unetflow.training.callbacks"):
        _report(monkeypatch, logs={**LOGS, "val_dice": math.nan})
    assert "validation loss 2.000, no Dice; 0.75 crops/s" in caplog.text
    assert "nan" not in caplog.text


@pytest.mark.parametrize("terminal", [True, False])
def test_the_bar_is_shown_on_a_terminal_only(monkeypatch, terminal):
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=terminal, width=160)
    monkeypatch.setattr(rich, "get_console", lambda: console)
    _report(monkeypatch)
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue())
    for part in ("epoch 3/3, step 2/2", "loss 1.235, Dice 0.500", "0.75 crops/s", "100%"):
        assert (part in shown) == terminal
