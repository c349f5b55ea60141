import logging

import keras
import numpy as np
import pytest

from tests.support.networks import randomise, tiny_unet
from unetflow.core.errors import InputError
from unetflow.data.intensity import IntensityRange
from unetflow.models.preprocessing import with_preprocessing
from unetflow.models.warm_start import take_weights


def test_a_network_begins_with_all_weights_of_one_of_its_kind(random):
    trained, unet = randomise(tiny_unet(depth=2)), tiny_unet(depth=2)
    take_weights(unet, trained, "a.keras")
    image = random.random((1, 8, 8, 1), np.float32)
    np.testing.assert_array_equal(np.asarray(unet(image)), np.asarray(trained(image)))


def test_it_finds_the_network_behind_its_preprocessing():
    trained, unet = randomise(tiny_unet()), tiny_unet()
    take_weights(unet, with_preprocessing(trained, IntensityRange([0.0], [255.0])), "a.keras")
    for found, expected in zip(unet.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_head_for_other_classes_begins_afresh(caplog):
    trained, unet = randomise(tiny_unet()), tiny_unet(classes=3)
    head = unet.get_layer("probabilities").get_weights()
    with caplog.at_level(logging.INFO, "unetflow.models.warm_start"):
        take_weights(unet, trained, "a.keras")
    np.testing.assert_array_equal(unet.get_layer("probabilities").get_weights()[0], head[0])
    conv = "encoder_1_conv_1"
    np.testing.assert_array_equal(
        unet.get_layer(conv).get_weights()[0], trained.get_layer(conv).get_weights()[0]
    )
    (message,) = caplog.messages
    assert message.startswith("Began with the weights of a.keras in ")
    assert message.endswith("afresh: probabilities")


def test_a_network_of_which_nothing_fits_is_refused():
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    with pytest.raises(InputError, match="none of its layers fits") as caught:
        take_weights(tiny_unet(), other, "models:/x@champion")
    assert caught.value.where == "models:/x@champion"
