import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.networks import randomise, tiny_unet
from unetflow.core.geometry import Geometry
from unetflow.inference.runtimes.runtime import as_predictor
from unetflow.models.unet import geometry_of
from unetflow.tiling.windows import plan_windows, predict_tiled

WHOLE = 1_000_000
# One process traces each of these networks.
DEEP = [pytest.mark.slow, pytest.mark.xdist_group("deep networks")]
SLOW_DEPTHS = [pytest.param(depth, marks=DEEP) for depth in (4, 5)]


@pytest.fixture(scope="module", params=["same", "valid"])
def padding(request):
    return request.param


def _for_any_size(unet):
    """Return a predictor and the geometry of a network.

    The predictor is traced once: layer by layer, a window takes tens of milliseconds.
    """
    signature = [tf.TensorSpec((None, None, None, 1), tf.float32)]
    traced = tf.function(lambda batch: unet(batch, training=False), input_signature=signature)
    return lambda batch: traced(batch).numpy(), geometry_of(unet)


@pytest.fixture(scope="module", params=[1, 2, 3])
def network(request, padding):
    seed = request.param
    return _for_any_size(randomise(tiny_unet(depth=request.param, padding=padding), seed=seed))


def test_the_predictor_computes_what_the_network_computes_without_training(random):
    unet = randomise(tiny_unet(dropout=0.5))
    images = random.random((3, 8, 10, 1))
    np.testing.assert_allclose(as_predictor(unet)(images), unet(images), atol=1e-6)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_the_predictor_takes_raw_whole_numbers(dtype):
    inputs = keras.Input((None, None, 1))
    doubling = keras.Model(inputs, keras.layers.Rescaling(2.0)(inputs))
    raw = np.full((1, 2, 2, 1), 200, dtype)
    found = as_predictor(doubling)(raw)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.full((1, 2, 2, 1), 400))


def test_the_predictor_switches_xla_off(monkeypatch):
    # After a training in the same process, Keras refuses XLA anyway.
    monkeypatch.setattr("keras.src.trainers.trainer.model_supports_jit", lambda model: True)
    unet = tiny_unet()
    unet.jit_compile = True
    assert unet.jit_compile is True
    as_predictor(unet)
    assert unet.jit_compile is False


def _smallest_tile(geometry):
    return geometry.fit(2 * (geometry.shrink + geometry.margin) + geometry.stride)


def _assert_tiles_equal_the_whole(network, size, tile, random):
    image = random.random((*size, 1)).astype(np.float32)
    predictor, geometry = network
    assert len(plan_windows(size[0], geometry, tile)) > 1
    tiled = predict_tiled(predictor, image, geometry, tile)
    whole = predict_tiled(predictor, image, geometry, WHOLE)
    assert tiled.shape == (*size, 1)
    assert whole.std() > 0.01
    np.testing.assert_allclose(tiled, whole, atol=1e-5)


def test_the_smallest_tiles_give_what_the_whole_image_gives(network, random):
    least = _smallest_tile(network[1])
    size = tuple(int(n) for n in random.integers(least + 1, least + 30, 2))
    _assert_tiles_equal_the_whole(network, size, 1, random)


def test_tiles_of_any_size_give_what_the_whole_image_gives(network):
    random = np.random.default_rng(10)
    _, geometry = network
    tile = _smallest_tile(geometry) + int(random.integers(0, 6 * geometry.stride))
    size = tuple(int(n) for n in random.integers(tile + 1, tile + 50, 2))
    _assert_tiles_equal_the_whole(network, size, tile, random)


@pytest.fixture(scope="module", params=[2, 3, *SLOW_DEPTHS])
def deep_network(request, padding):
    unet = tiny_unet(depth=request.param, padding=padding, base_filters=1)
    return _for_any_size(randomise(unet, seed=8))


def _in_one_piece(network, image):
    """Mirror an image up to a size that the network takes, without any planning of windows."""
    predictor, geometry = network
    shrink = geometry.shrink
    after = [geometry.fit(edge + 2 * shrink) - edge - shrink for edge in image.shape[:2]]
    borders = [(shrink, pixels) for pixels in after]
    padded = np.pad(image, [*borders, (0, 0)], mode="reflect")
    return predictor(padded[np.newaxis])[0, : image.shape[0], : image.shape[1]]


@settings(deadline=None, derandomize=True, max_examples=4)
@given(st.data())
def test_every_pixel_of_any_image_is_the_same_in_tiles_as_in_one_piece(deep_network, data):
    predictor, geometry = deep_network
    least = _smallest_tile(geometry)
    long = data.draw(st.integers(1, least + 4 * geometry.stride))
    size = data.draw(st.permutations([data.draw(st.integers(1, 40)), long]))
    tile = data.draw(st.integers(1, least + 2 * geometry.stride))
    image = np.random.default_rng(long).random((*size, 1)).astype(np.float32)
    tiled = predict_tiled(predictor, image, geometry, tile)
    np.testing.assert_allclose(tiled, _in_one_piece(deep_network, image), atol=1e-5, rtol=0)


@pytest.mark.parametrize("narrow", [1, 2, 7])
def test_narrow_images_of_many_tiles_are_the_same_in_one_piece(deep_network, narrow):
    predictor, geometry = deep_network
    long = 3 * _smallest_tile(geometry) // 2 + 5
    image = np.random.default_rng(narrow).random((long, narrow, 1)).astype(np.float32)
    assert len(plan_windows(long, geometry, 1)) > 1
    for one in (image, image.swapaxes(0, 1)):
        tiled = predict_tiled(predictor, one, geometry, 1)
        np.testing.assert_allclose(tiled, _in_one_piece(deep_network, one), atol=1e-5, rtol=0)


def test_without_a_margin_the_tiles_do_not_fit_together(random):
    # Shows that the tests above can fail: the borders of windows do change the output.
    network = randomise(tiny_unet(depth=2))
    image = random.random((40, 40, 1)).astype(np.float32)
    careless = Geometry(stride=4, remainder=0, shrink=0, margin=0)
    tiled = predict_tiled(as_predictor(network), image, careless, 12)
    whole = predict_tiled(as_predictor(network), image, careless, WHOLE)
    assert np.abs(tiled - whole).max() > 1e-3
