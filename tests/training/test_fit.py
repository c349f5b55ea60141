import io
import logging

import keras
import numpy as np
import pytest
import rich
from rich.console import Console

from tests.support.networks import GREY, fit_settings, square_samples, tiny_unet
from unetflow.augmentation.policy import Augmenter
from unetflow.core.errors import InputError
from unetflow.data.samples import Sample
from unetflow.metrics.epochs import find_best_epoch
from unetflow.training.callbacks import TrainingListeners
from unetflow.training.fit import fit

UNCHANGED = Augmenter([])
FLIPS = Augmenter([{"transform": "HorizontalFlip", "p": 0.5}])


def _network(**options):
    keras.utils.set_random_seed(0)
    return tiny_unet(**{"base_filters": 4, "normalisation": "none", **options})


def _fit(
    unet,
    training,
    validation,
    augmenter=UNCHANGED,
    on_epoch=lambda epoch, logs: None,
    on_bad_batch=lambda batch: None,
    **new,
):
    listeners = TrainingListeners(on_epoch, on_bad_batch)
    seed = new.pop("seed", 3)
    settings = fit_settings(**new)
    return fit(unet, training, validation, GREY, augmenter, settings, listeners, seed=seed)


@pytest.fixture(scope="module")
def one_run(squares, other_squares):
    """The weights, the history and the calls of the listener of a short training."""
    unet = _network(normalisation="batch", dropout=0.3)
    calls = []
    table = _fit(
        unet,
        squares,
        other_squares,
        FLIPS,
        on_epoch=lambda epoch, logs: calls.append((epoch, dict(logs), unet.get_weights())),
    )
    return unet.get_weights(), table, calls


def test_the_same_seed_gives_the_same_weights_with_one_worker_or_two(
    one_run, squares, other_squares
):
    weights, table, _ = one_run
    unet = _network(normalisation="batch", dropout=0.3)
    again = _fit(unet, squares, other_squares, FLIPS, workers=2)
    for found, expected in zip(unet.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert again.equals(table)


@pytest.mark.slow
def test_another_seed_gives_other_weights(one_run, squares, other_squares):
    unet = _network(normalisation="batch", dropout=0.3)
    _fit(unet, squares, other_squares, FLIPS, seed=4, epochs=1)
    _, _, (first_epoch, _) = one_run
    assert not np.allclose(unet.get_weights()[0], first_epoch[2][0])


def test_the_history_has_the_promised_columns(one_run):
    _, table, _ = one_run
    promised = {"epoch", "loss", "dice", "learning_rate", "val_loss", "val_dice"}
    assert set(table.columns) == promised


def test_the_history_has_a_row_for_each_epoch(one_run):
    _, table, _ = one_run
    assert table["epoch"].tolist() == [1, 2]
    assert np.all(np.isfinite(table))


def test_the_listener_is_told_each_epoch_once_with_its_scores(one_run):
    _, table, calls = one_run
    assert [epoch for epoch, _, _ in calls] == [0, 1]
    for name in ("loss", "dice", "val_loss", "val_dice"):
        assert [logs[name] for _, logs, _ in calls] == table[name].tolist()


@pytest.mark.slow
def test_a_valid_network_learns_to_find_bright_squares(caplog):
    unet = _network(padding="valid")
    with caplog.at_level(logging.INFO, "unetflow.training.fit"):
        table = _fit(
            unet,
            square_samples(6, seed=1, size=32),
            square_samples(3, seed=2, size=32),
            crop_size=28,
            crops_per_image=4,
            epochs=10,
        )
    best = table.iloc[find_best_epoch(table)]
    assert best["val_dice"] > 0.9
    assert table["loss"].iloc[-1] < table["loss"].iloc[0] / 2
    assert caplog.messages[-1] == (
        f"Kept the weights of epoch {best['epoch']:.0f} of 10: "
        f"validation Dice {best['val_dice']:.3f}"
    )


def test_it_stops_after_the_patience_and_keeps_the_best_epochs_weights(monkeypatch, squares):
    # What is foreground in training is background in validation: the better it learns the one,
    # the worse it does at the other.
    opposite = {
        name: Sample(sample.image, 1 - sample.label)
        for name, sample in square_samples(2, seed=2).items()
    }
    unet = _network()
    weights, trains, whole = [], [], keras.Model.fit

    def remember(self, *arguments, **options):
        trains.append(self)  # the copy that is trained
        return whole(self, *arguments, **options)

    monkeypatch.setattr(keras.Model, "fit", remember)
    table = _fit(
        unet,
        squares,
        opposite,
        on_epoch=lambda epoch, logs: weights.append(trains[0].get_weights()),
        epochs=40,
        crops_per_image=4,
        learning_rate=0.02,
        patience=3,
    )
    best = find_best_epoch(table)
    assert len(table) == len(weights) == best + 1 + 3 < 40
    assert table["val_dice"].iloc[-1] < table["val_dice"].iloc[best]
    for found, expected in zip(unet.get_weights(), weights[best], strict=True):
        np.testing.assert_array_equal(found, expected)
    assert not np.array_equal(unet.get_weights()[0], weights[-1][0])


def test_validation_images_are_not_augmented_and_scored_by_the_weighted_loss(
    squares, other_squares
):
    black = {"brightness_limit": [-1.0, -1.0], "contrast_limit": [0.0, 0.0], "p": 1.0}
    destroyer = Augmenter([{"transform": "RandomBrightnessContrast", **black}])
    unet = _network()
    untrained = {True: [], False: []}
    for sample in other_squares.values():
        for destroyed, image in ((False, sample.image / 255.0), (True, 0.0 * sample.image)):
            chance = np.asarray(unet(image[None]))[0, :, :, 0]
            entropy = -np.where(sample.label == 1, 3 * np.log(chance), 0.5 * np.log(1 - chance))
            untrained[destroyed].append(2 * entropy.mean())
    # The learning rate is so small that the network stays as it is.
    changes = {"loss": "2*bce", "class_weights": [0.5, 3.0]}
    table = _fit(unet, squares, other_squares, destroyer, epochs=1, learning_rate=1e-12, **changes)
    assert table["val_loss"].iloc[0] == pytest.approx(np.mean(untrained[False]), abs=1e-5)
    assert table["val_loss"].iloc[0] != pytest.approx(np.mean(untrained[True]), abs=1e-3)


def test_a_bad_batch_ends_it_at_once_is_told_and_gives_the_cursor_back(
    monkeypatch, squares, other_squares
):
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    monkeypatch.setattr(rich, "get_console", lambda: console)
    bad = Sample(np.full((24, 24, 1), np.nan, np.float32), np.ones((24, 24), np.uint8))
    calls, batches = [], []
    with pytest.raises(InputError, match="Lower it") as caught:
        _fit(
            _network(),
            {**squares, "bad": bad},
            other_squares,
            on_epoch=lambda epoch, logs: calls.append(epoch),
            on_bad_batch=batches.append,
            batch_size=1,
            workers=2,
        )
    (batch,) = batches
    assert batch["samples"] == ["bad"]
    assert len(batch["samples_before"]) == 1
    assert caught.value.where == "training.learning_rate"
    assert f"step {batch['step']} of epoch 1, with crops of 'bad'" in caught.value.problem
    assert calls == []
    hide, show = "\x1b[?25l", "\x1b[?25h"
    written = screen.getvalue()
    assert hide in written
    assert written.rfind(show) > written.rfind(hide)
