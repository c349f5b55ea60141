import keras
import numpy as np
import pytest

from tests.support.networks import randomise, tiny_unet
from unetflow.core.errors import InputError
from unetflow.models.keras_io import load_keras, save_keras
from unetflow.models.unet import geometry_of, without_deep_supervision


def supervised(**options):
    return randomise(tiny_unet(**{"depth": 3, "deep_supervision": 2, **options}))


def test_the_networks_own_probabilities_come_first(random):
    plain, unet = randomise(tiny_unet(depth=3, classes=3)), supervised(classes=3)
    for layer in plain.layers:
        unet.get_layer(layer.name).set_weights(layer.get_weights())
    image = random.random((2, 16, 24, 1), np.float32)
    everything = np.asarray(unet(image))
    assert everything.shape == (2, 16, 24, 9)
    np.testing.assert_allclose(everything[..., :3], np.asarray(plain(image)), atol=1e-6)


@pytest.mark.parametrize(("padding", "edge"), [("same", 32), ("valid", 108)])
def test_the_probabilities_of_a_level_are_aligned_with_its_pixels(padding, edge, random):
    unet = supervised(padding=padding)
    image = random.random((1, edge, edge, 1), np.float32)
    for place, level in ((1, 1), (2, 2)):
        own = keras.Model(unet.input, unet.get_layer(f"probabilities_{level + 1}").output)(image)
        found = np.asarray(unet(image))[0, :, :, place]
        scale = 2**level
        lost = (own.shape[1] * scale - found.shape[0]) // 2
        assert lost == (2 * (scale - 1) if padding == "valid" else 0)
        nearest = np.repeat(np.repeat(np.asarray(own)[0, :, :, 0], scale, 0), scale, 1)
        inner = slice(lost, nearest.shape[0] - lost)
        expected = nearest[inner, inner]
        # Two pixels of the level off the border the enlarging interpolates all the same way.
        inner = slice(2 * scale, -2 * scale)
        errors = {
            shift: np.abs(np.roll(found, shift, (0, 1)) - expected)[inner, inner].mean()
            for shift in range(-scale, scale + 1)
        }
        assert min(errors, key=errors.get) == 0


def test_without_deep_supervision_the_networks_own_output_is_left(random):
    unet = supervised()
    bare = without_deep_supervision(unet)
    image = random.random((1, 16, 16, 1), np.float32)
    np.testing.assert_array_equal(np.asarray(bare(image)), np.asarray(unet(image))[..., :1])
    assert bare.name == "U-Net"
    assert not [layer.name for layer in bare.layers if layer.name.startswith("probabilities_")]
    assert geometry_of(bare) == geometry_of(unet)
    plain = tiny_unet()
    assert without_deep_supervision(plain) is plain


def test_deep_supervision_can_be_removed_after_loading(tmp_path, random):
    unet = supervised(classes=2)
    save_keras(unet, tmp_path / "a.keras")
    image = random.random((1, 16, 16, 1), np.float32)
    bare = without_deep_supervision(load_keras(tmp_path / "a.keras"))
    np.testing.assert_allclose(np.asarray(bare(image)), np.asarray(unet(image))[..., :2], atol=1e-6)


@pytest.mark.parametrize(("depth", "levels"), [(1, 1), (3, 3), (3, -1)])
def test_more_levels_than_there_are_is_refused(depth, levels):
    with pytest.raises(InputError) as caught:
        tiny_unet(depth=depth, deep_supervision=levels)
    assert caught.value.where == "deep_supervision"
