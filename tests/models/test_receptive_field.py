import keras
import numpy as np
import pytest
from keras import layers

from tests.support.networks import tiny_unet
from unetflow.core.errors import InputError
from unetflow.core.geometry import lost_pixels, unet_geometry
from unetflow.data.intensity import IntensityRange
from unetflow.models.preprocessing import with_preprocessing
from unetflow.models.receptive_field import measure_geometry, receptive_field
from unetflow.models.unet import build_unet, geometry_of


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("depth", range(1, 6))
def test_the_layers_say_what_the_formula_says(depth, padding):
    unet = tiny_unet(depth=depth, padding=padding, base_filters=1)
    field = receptive_field(unet)
    assert measure_geometry(unet) == geometry_of(unet) == unet_geometry(depth, padding)
    assert (field.before, field.after) == (7 * 2**depth - 5,) * 2
    assert field.pads == (padding == "same")
    assert 2 * field.shrink == (lost_pixels(depth) if padding == "valid" else 0)


def _all_positive(network):
    """Let no change of an input pixel be lost on its way to the output."""
    for weight in network.weights:
        weight.assign(np.full(weight.shape, 1 / np.prod(weight.shape[:3]), np.float32))
    return network


def _changed(network, image, row, column):
    """Return the outputs that a change of one input pixel changes, as seen from its place."""
    other = image.copy()
    other[0, row, column, 0] += 1e3
    difference = np.asarray(network(other) - network(image))[0].any(axis=2)
    lost = (image.shape[1] - difference.shape[0]) // 2
    rows, columns = np.nonzero(difference)
    return rows + lost - row, columns + lost - column


def _empirical_reach(network, edge, stride):
    """Change one pixel after another of a whole period, and see how far away outputs change."""
    image = np.zeros((1, edge, edge, 1), np.float32)
    middle, back, ahead = edge // 2, 0, 0
    for shift in range(stride):
        for seen in _changed(network, image, middle + shift, middle + shift):
            back, ahead = max(back, -int(seen.min())), max(ahead, int(seen.max()))
    # An output before the pixel looks ahead to it.
    return ahead, back


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_no_output_further_away_changes_with_a_pixel_and_the_farthest_does(depth, padding):
    field_of = tiny_unet(depth=depth, padding=padding, base_filters=1, normalisation="none")
    head = field_of.get_layer("probabilities").input
    network = _all_positive(keras.Model(field_of.input, head))  # a sigmoid would saturate
    field, geometry = receptive_field(network), unet_geometry(depth, padding)
    edge = geometry.fit(2 * (field.before + field.shrink) + 6 * geometry.stride)
    assert _empirical_reach(network, edge, field.stride) == (field.before, field.after)


def _network(*steps):
    x = inputs = keras.Input((None, None, 1))
    for step in steps:
        x = step(x)
    return keras.Model(inputs, x)


def _with_skip(x):
    low = layers.UpSampling2D(2, interpolation="bilinear")(layers.AveragePooling2D(2)(x))
    return layers.Add()([low, layers.Conv2D(1, 5, padding="same", dilation_rate=2)(x)])


@pytest.mark.parametrize(
    ("steps", "stride"),
    [
        ([layers.Conv2D(1, 3, padding="same")], 1),
        ([layers.Conv2D(1, 4, padding="same")], 1),
        ([layers.Conv2D(1, 3, strides=2, padding="same"), layers.UpSampling2D(2)], 2),
        ([layers.MaxPooling2D(3), layers.UpSampling2D(3, interpolation="bilinear")], 3),
        (
            [layers.MaxPooling2D(2), layers.Conv2DTranspose(1, 4, strides=2), layers.Cropping2D(1)],
            2,
        ),
        ([layers.ZeroPadding2D(3), layers.Conv2D(1, 7)], 1),
        ([layers.DepthwiseConv2D(3, padding="same", dilation_rate=3)], 1),
        ([_with_skip], 2),
    ],
    ids=["odd", "even", "strided", "by 3", "overlapping", "padded", "dilated", "skip"],
)
def test_each_kind_of_layer_looks_as_far_as_it_does(steps, stride):
    network = _all_positive(_network(*steps))
    field = receptive_field(network)
    assert field.stride == stride
    assert _empirical_reach(network, 12 * stride + 36 // stride * stride, stride) == (
        field.before,
        field.after,
    )


def test_models_in_a_model_are_followed():
    unet = tiny_unet(depth=2, base_filters=1)
    whole = with_preprocessing(unet, IntensityRange([0.0], [255.0]))
    assert measure_geometry(whole) == unet_geometry(2, "same")


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_deep_supervision_looks_no_further(padding):
    unet = tiny_unet(depth=3, padding=padding, deep_supervision=2)
    assert measure_geometry(unet) == unet_geometry(3, padding)


def test_height_and_width_are_told_apart():
    network = _network(layers.Conv2D(1, (3, 7), padding="same"))
    assert receptive_field(network, 0).before == 1
    assert receptive_field(network, 1).before == 3
    assert measure_geometry(network).margin == 3


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([layers.GlobalAveragePooling2D(keepdims=True)], "how far a GlobalAveragePooling2D"),
        ([layers.MaxPooling2D(2)], "its output has 1/2 n"),
        ([layers.UpSampling2D(2), layers.MaxPooling2D(2), layers.Cropping2D(((1, 0), 0))], "n"),
        ([layers.UpSampling2D(2, interpolation="bicubic")], "an? UpSampling2D of this kind"),
        ([layers.Conv2DTranspose(1, 3, padding="same")], "a Conv2DTranspose of this kind"),
        ([layers.MaxPooling2D((2, 1)), layers.UpSampling2D((2, 1))], "height and width differ"),
    ],
)
def test_a_network_of_which_nothing_can_be_said_is_refused(steps, message):
    with pytest.raises(InputError, match=message):
        measure_geometry(_network(*steps))


def test_a_network_of_any_size_is_followed_in_no_time():
    assert receptive_field(build_unet((None, None, 1), base_filters=1, depth=7)).before == 891
