import logging

import keras
import numpy as np
import pytest

from tests.support.networks import randomise, tiny_unet
from unetflow.core.errors import InputError
from unetflow.data.intensity import IntensityRange
from unetflow.models.keras_io import copy_matching_weights
from unetflow.models.unet import with_preprocessing


def test_all_weights_of_the_same_architecture_are_copied(random):
    trained, unet = randomise(tiny_unet(depth=2)), tiny_unet(depth=2)
    copy_matching_weights(unet, trained, "a.keras")
    image = random.random((1, 8, 8, 1), np.float32)
    np.testing.assert_array_equal(np.asarray(unet(image)), np.asarray(trained(image)))


def test_the_network_behind_the_preprocessing_is_found():
    trained, unet = randomise(tiny_unet()), tiny_unet()
    copy_matching_weights(
        unet, with_preprocessing(trained, IntensityRange([0.0], [255.0])), "a.keras"
    )
    for found, expected in zip(unet.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_head_for_other_classes_keeps_its_initial_weights(caplog):
    trained, unet = randomise(tiny_unet()), tiny_unet(classes=3)
    head = unet.get_layer("probabilities").get_weights()
    with caplog.at_level(logging.INFO, "unetflow.models.keras_io"):
        copy_matching_weights(unet, trained, "a.keras")
    np.testing.assert_array_equal(unet.get_layer("probabilities").get_weights()[0], head[0])
    conv = "encoder_1_conv_1"
    np.testing.assert_array_equal(
        unet.get_layer(conv).get_weights()[0], trained.get_layer(conv).get_weights()[0]
    )
    (message,) = caplog.messages
    assert message.startswith("Copied the weights of a.keras to ")
    assert message.endswith("initial weights: probabilities")


def test_a_network_without_a_matching_layer_is_refused():
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    with pytest.raises(InputError, match="none of its layers matches") as caught:
        copy_matching_weights(tiny_unet(), other, "models:/x@champion")
    assert caught.value.where == "models:/x@champion"
