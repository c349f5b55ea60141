"""The geometry of `build_unet`'s networks against changes of single input pixels."""

import keras
import numpy as np
import pytest
from keras import layers

from tests.support.networks import tiny_unet
from unetflow.core.errors import InputError
from unetflow.core.geometry import lost_pixels, unet_geometry
from unetflow.data.intensity import IntensityRange
from unetflow.models import unet as unet_module
from unetflow.models.keras_io import load_keras, save_keras
from unetflow.models.unet import (
    build_unet,
    geometry_of,
    with_preprocessing,
    without_deep_supervision,
)


def _transparent(unet):
    """Return the network with linear heads and weights that let no change of a pixel vanish.

    Kernels are positive and biases zero, so that an image of zeros gives zeros and nothing is lost
    by rounding.
    """
    for layer in unet.layers:
        if hasattr(layer, "kernel"):
            kernel, bias = layer.kernel, layer.bias
            kernel.assign(np.full(kernel.shape, 1 / np.prod(kernel.shape[:3]), np.float32))
            bias.assign(np.zeros(bias.shape, np.float32))
        if layer.name.startswith("probabilities"):
            layer.activation = keras.activations.linear
    return unet


def _measured_reach(network, geometry, edge, axis):
    """Change one pixel after another of a whole period, in the middle of an image.

    Args:
        network: With transparent weights.
        geometry: Its stride, and the smallest size across the measured axis.
        edge: Pixels along the measured axis.
        axis: 0 for the height, 1 for the width.

    Returns:
        How many pixels an output pixel depends on before and after its own place.
    """
    across = geometry.fit(2 * geometry.shrink + 1)
    places = edge // 2 + np.arange(geometry.stride)
    images = np.zeros((geometry.stride, across, edge, 1), np.float32)
    images[np.arange(geometry.stride), across // 2, places] = 1
    outputs = np.asarray(network(images if axis else images.swapaxes(1, 2)))
    changed = outputs.any(axis=(2 - axis, 3))
    first = changed.argmax(axis=1) + geometry.shrink
    last = changed.shape[1] - 1 - changed[:, ::-1].argmax(axis=1) + geometry.shrink
    return (last - places).max(), (places - first).max()


VARIANTS = [
    *({"depth": depth} for depth in (1, 2, 3, 4)),
    *({"depth": depth, "padding": "valid"} for depth in (1, 2, 3)),
    *(
        pytest.param(options, marks=pytest.mark.slow)
        for options in ({"depth": 5}, *({"depth": d, "padding": "valid"} for d in (4, 5)))
    ),
    {"depth": 2, "normalisation": "none", "dropout": 0.5, "up_activation": "relu"},
    {"depth": 3, "deep_supervision": 2},
    {"depth": 3, "deep_supervision": 2, "padding": "valid"},
]


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_the_formula_gives_the_measured_receptive_field(options):
    unet = tiny_unet(base_filters=1, **options)
    depth, padding = options["depth"], options.get("padding", "same")
    geometry = unet_geometry(depth, padding)
    assert geometry_of(unet) == geometry
    radius = 7 * 2**depth - 5
    edge = geometry.fit(2 * (radius + geometry.shrink) + 2 * geometry.stride)
    transparent = _transparent(unet)
    for axis in (0, 1):
        assert _measured_reach(transparent, geometry, edge, axis) == (radius, radius)
    if padding == "same":
        assert 0 <= geometry.margin - radius < geometry.stride


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_a_valid_network_loses_as_many_pixels_as_the_formula_says(depth):
    edge = unet_geometry(depth, "valid").fit(lost_pixels(depth) + 1)
    unet = tiny_unet(input_shape=(edge, edge, 1), depth=depth, padding="valid", base_filters=1)
    assert unet.output_shape[1] == edge - lost_pixels(depth)


@pytest.mark.parametrize(
    ("normalisation", "supervised", "padding"),
    [("batch", 0, "same"), ("group", 1, "valid"), ("instance", 1, "same"), ("none", 0, "valid")],
)
def test_the_geometry_survives_saving_and_loading(tmp_path, normalisation, supervised, padding):
    options = {"normalisation": normalisation, "deep_supervision": supervised, "padding": padding}
    unet = tiny_unet(depth=2, classes=3, dropout=0.2, up_activation="relu", **options)
    save_keras(unet, tmp_path / "unet.keras")
    loaded = load_keras(tmp_path / "unet.keras")
    assert geometry_of(loaded) == unet_geometry(2, padding)
    assert geometry_of(without_deep_supervision(loaded)) == unet_geometry(2, padding)


def test_the_geometry_of_a_network_behind_its_preprocessing_is_the_networks():
    whole = with_preprocessing(tiny_unet(depth=2), IntensityRange([0.0], [255.0]))
    assert geometry_of(whole.get_layer("U-Net")) == unet_geometry(2, "same")


def _small_network():
    inputs = keras.Input((None, None, 1))
    return keras.Model(inputs, layers.Conv2D(1, 3, padding="same")(inputs))


def _with_a_layer_in_front():
    unet = tiny_unet()
    inputs = keras.Input((None, None, 1))
    x = layers.Conv2D(1, 7, padding="same")(inputs)
    return keras.Model(inputs, unet(x))


def _with_a_layer_behind():
    unet = tiny_unet()
    return keras.Model(unet.input, layers.Conv2D(1, 7, padding="same")(unet.output))


def _with_other_kernels():
    config = tiny_unet().get_config()
    for layer in config["layers"]:
        if layer["name"] == "encoder_1_conv_2":
            layer["config"]["dilation_rate"] = (2, 2)
    return keras.Model.from_config(config)


@pytest.mark.parametrize(
    "build", [_small_network, _with_a_layer_in_front, _with_a_layer_behind, _with_other_kernels]
)
def test_a_network_that_build_unet_did_not_make_is_refused(build):
    with pytest.raises(InputError, match="its receptive field is unknown"):
        geometry_of(build())


def test_the_network_to_compare_with_is_built_once_for_each_form(monkeypatch):
    networks = [tiny_unet(depth=depth) for depth in (1, 2, 2, 1)]
    unet_module._options_of_twin.cache_clear()
    built = []

    def count(*arguments, **options):
        built.append(options["depth"])
        return build_unet(*arguments, **options)

    monkeypatch.setattr(unet_module, "build_unet", count)
    found = [geometry_of(network) for network in networks]
    assert found == [unet_geometry(depth, "same") for depth in (1, 2, 2, 1)]
    assert built == [1, 2]
