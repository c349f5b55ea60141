import keras
import numpy as np
import pytest

from tests.support.losses import losses_of, random_prediction, random_truth
from unetflow.core.errors import InputError
from unetflow.models.keras_io import load_keras, save_keras
from unetflow.models.segmentation_loss import SegmentationLoss, dice


def test_the_loss_is_the_weighted_sum_of_its_terms():
    truth, chance = random_truth(1, 3, 1), random_prediction(1, 3, 1)
    parts = {name: losses_of(name, truth, chance) for name in ("focal", "tversky", "lovasz")}
    found = losses_of("0.5*focal + tversky + 3 * lovasz", truth, chance)
    expected = 0.5 * parts["focal"] + parts["tversky"] + 3 * parts["lovasz"]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_mapping_gives_the_bits_of_the_text():
    truth, probabilities = random_truth(5, 3, 2), random_prediction(5, 3, 2)
    found = losses_of({"focal": 0.5, "tversky": 1, "lovasz": 3}, truth, probabilities)
    expected = losses_of("0.5*focal + tversky + 3 * lovasz", truth, probabilities)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "terms", ["", "bce - dice", "dise", {}, {"dise": 1}, {"bce": -1}, {"bce": np.nan}]
)
def test_wrong_terms_are_refused(terms):
    with pytest.raises(InputError, match=r"^training\.loss: "):
        SegmentationLoss(terms)


@pytest.mark.parametrize("weight", [-1.0, np.nan, np.inf])
def test_a_wrong_class_weight_is_refused(weight):
    with pytest.raises(InputError, match="is not a weight"):
        SegmentationLoss("bce", [1.0, weight])


@pytest.mark.parametrize(("channels", "classes"), [(1, 2), (2, 2), (3, 3)])
def test_the_number_of_class_weights_must_be_that_of_the_classes(channels, classes):
    truth, chance = random_truth(2, 1, channels), random_prediction(2, 1, channels)
    with pytest.raises(InputError, match=f"it lists 4 weights for {classes} classes"):
        losses_of("bce", truth, chance, (1.0, 1.0, 1.0, 1.0))


def _compiled_network(loss):
    network = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(3, 1)])
    network.add(keras.layers.Softmax())
    network.compile(optimizer="sgd", loss=loss, metrics=[dice])
    return network


@pytest.mark.parametrize("class_weights", [None, (0.5, 2.0, 1.0)])
def test_it_survives_its_configuration(class_weights):
    loss = SegmentationLoss("0.5*focal + lovasz", class_weights, name="mixed")
    stored = keras.saving.serialize_keras_object(loss)
    restored = keras.saving.deserialize_keras_object(stored)
    assert isinstance(restored, SegmentationLoss)
    assert restored.get_config() == loss.get_config()
    assert restored.class_weights == class_weights


def test_it_survives_saving_and_loading_of_a_compiled_model(tmp_path):
    class_weights = (0.5, 2.0, 1.0)
    loss = SegmentationLoss("0.5*focal + lovasz", class_weights, name="mixed")
    network = _compiled_network(loss)
    save_keras(network, tmp_path / "network.keras")
    loaded = load_keras(tmp_path / "network.keras")  # in safe mode
    assert isinstance(loaded.loss, SegmentationLoss)
    assert loaded.loss.get_config() == loss.get_config()
    assert loaded.loss.class_weights == class_weights
    image, truth = np.random.default_rng(3).random((2, 8, 8, 1)), random_truth(3, 2, 3, (8, 8))
    loaded.run_eagerly = network.run_eagerly = True  # faster than tracing
    found, expected = loaded.test_on_batch(image, truth), network.test_on_batch(image, truth)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_loss_stored_by_an_earlier_version_is_restored():
    stored = {
        "module": "unetflow.unet.losses.segmentation_loss",
        "class_name": "SegmentationLoss",
        "registered_name": "unetflow>SegmentationLoss",
        "config": {
            "name": "segmentation_loss",
            "reduction": "sum_over_batch_size",
            "formula": "0.5*focal + lovasz",
            "class_weights": [0.5, 2.0],
            "outputs": 3,
        },
    }
    loss = keras.saving.deserialize_keras_object(stored)
    terms = {"focal": 0.5, "lovasz": 1}
    expected = SegmentationLoss(terms, (0.5, 2.0), 3, name="segmentation_loss")
    assert loss.get_config() == expected.get_config()


def test_a_network_trains_with_a_weight_map():
    random = np.random.default_rng(4)
    truth = random_truth(4, 3, 3, (8, 8)).astype(np.float32)
    weighted = np.concatenate([truth, random.uniform(1, 9, truth.shape)], axis=-1)
    network = _compiled_network(SegmentationLoss("cce"))
    image = random.random((3, 8, 8, 1))
    before = network.predict_on_batch(image)
    loss = network.train_on_batch(image, weighted.astype(np.float32))[0]
    assert loss == pytest.approx(losses_of("cce", weighted, before).mean(), rel=1e-5)
    after = network.predict_on_batch(image)
    assert losses_of("cce", weighted, after).mean() < loss


def test_it_is_registered_with_keras():
    assert keras.saving.get_registered_object("unetflow>SegmentationLoss") is SegmentationLoss
