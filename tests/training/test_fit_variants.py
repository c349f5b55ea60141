"""The many ways to train: each must learn, and do what it says."""

import keras
import numpy as np
import pytest

from tests.support.networks import GREY, fit_settings, square_samples, tiny_unet
from unetflow.augmentation.policy import Augmenter
from unetflow.data.samples import Sample
from unetflow.models.unet import without_deep_supervision
from unetflow.training.callbacks import TrainingListeners
from unetflow.training.fit import fit


def network(**options):
    keras.utils.set_random_seed(0)
    return tiny_unet(**{"base_filters": 4, "normalisation": "none", **options})


def train(unet, training, validation, on_epoch=lambda epoch, logs: None, **changes):
    settings = fit_settings(**{"epochs": 12, "crops_per_image": 4, **changes})
    listeners = TrainingListeners(on_epoch, lambda batch: None)
    return fit(unet, training, validation, GREY, Augmenter([]), settings, listeners, seed=3)


def three_classes(count, seed):
    """Make images with a bright and a very bright square, a class each."""
    samples = {}
    for name, sample in square_samples(count, seed=seed, size=32).items():
        label = sample.label.copy()
        half = np.arange(32) >= np.flatnonzero(label.any(axis=0)).mean()
        label[:, half] *= 2
        image = np.where(label == 2, 250, np.where(label == 1, 120, 20)).astype(np.uint8)
        samples[name] = Sample(image[..., None], label)
    return samples


def test_many_classes_are_learnt_within_the_granted_time():
    table = train(
        network(classes=3, base_filters=8),
        three_classes(6, 1),
        three_classes(3, 2),
        loss="cce + dice",
        epochs=15,
        minutes=60.0,
    )
    assert table["val_dice"].max() > 0.9
    assert len(table) == 15


@pytest.mark.slow
def test_deep_supervision_learns_and_trains_each_level_of_a_softmax(squares, other_squares):
    unet = network(depth=2, deep_supervision=1, classes=2)
    before = unet.get_layer("probabilities_2").get_weights()[0]
    table = train(unet, squares, other_squares, loss="cce")
    assert table["val_dice"].max() > 0.9
    assert not np.allclose(before, unet.get_layer("probabilities_2").get_weights()[0])
    assert without_deep_supervision(unet).output_shape[-1] == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {
            **{"optimiser": "sgd", "momentum": 0.9, "learning_rate": 0.05},
            **{"schedule": "plateau", "warmup_fraction": 0.1, "global_clipnorm": 1.0},
        },
        {
            **{"optimiser": "adamw", "schedule": "poly", "learning_rate": 0.02},
            **{"foreground_fraction": 0.5, "loss": "0.5*focal + tversky"},
        },
    ],
    ids=lambda changes: changes["optimiser"],
)
def test_each_way_to_follow_gradients_learns(changes, squares, other_squares):
    table = train(network(), squares, other_squares, **changes)
    assert table["val_dice"].max() > 0.9
    assert np.isfinite(table).all(axis=None)


def test_the_moving_average_is_validated_and_kept_when_the_time_runs_out(squares, other_squares):
    """The weights after an epoch, averaged by hand, are those that the listener sees.

    The time runs out in the first epoch, which is finished.
    """
    steps, keep = 3, 0.5  # 12 crops in batches of 4
    plain = network()
    raw = []

    class Remember(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raw.append(self.model.get_weights())

    whole, unet = keras.Model.fit, network()
    seen, trains = [], []

    def fit_and_remember(self, *args, callbacks, **options):
        trains.append(self)  # the copy that is trained
        return whole(self, *args, callbacks=[*callbacks, Remember()], **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.Model, "fit", fit_and_remember)
        train(
            unet,
            squares,
            other_squares,
            on_epoch=lambda epoch, logs: seen.append(trains[0].get_weights()),
            epochs=40,
            minutes=1e-6,
            crops_per_image=2,
            ema_momentum=keep,
        )
    assert len(raw) == steps
    average = raw[0]
    for weights in raw[1:]:
        average = [keep * a + (1 - keep) * w for a, w in zip(average, weights, strict=True)]
    for found, kept, expected in zip(seen[0], unet.get_weights(), average, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)
        np.testing.assert_array_equal(kept, found)
    assert not np.allclose(plain.get_weights()[0], seen[0][0])


@pytest.mark.slow
def test_the_moving_average_learns_over_many_epochs(squares, other_squares):
    table = train(network(), squares, other_squares, ema_momentum=0.9, epochs=15)
    assert table["val_dice"].max() > 0.9


def test_overfitting_stops_when_the_dice_is_good_enough(squares, other_squares, monkeypatch):
    monkeypatch.setattr("unetflow.training.fit.OVERFIT_DICE", 0.895)
    table = train(network(), squares, other_squares, epochs=40, overfit_crops=1)
    assert table["dice"].iloc[-1] >= 0.9
    assert (table["dice"].iloc[:-1] < 0.9).all()
    assert len(table) < 40


def test_weights_of_pixels_steer_what_is_learnt(squares, other_squares):
    """Where only the squares count, everything is found."""
    weighted = {
        name: Sample(s.image, s.label, s.label.astype(np.float32)) for name, s in squares.items()
    }
    unet = network()
    train(unet, weighted, other_squares, loss="bce", epochs=3)
    image = next(iter(other_squares.values())).image[None] / 255.0
    assert float(np.mean(np.asarray(unet(image)) >= 0.5)) > 0.95
