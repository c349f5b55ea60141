import keras
import numpy as np
import pytest
from keras import layers

from unetflow.models.blocks import conv_block, decoder_block, encoder_block
from unetflow.models.unet import build_unet


def _model(block, channels=3, size=8, **options):
    inputs = keras.Input((size, size, channels))
    return keras.Model(inputs, block(inputs, **options))


def _convolve_slowly(image, kernel, bias):
    """Correlate a zero-padded image with a 3x3 kernel."""
    padded = np.pad(image, [(1, 1), (1, 1), (0, 0)])
    result = np.zeros((*image.shape[:2], kernel.shape[3]))
    for i, j in np.ndindex(image.shape[:2]):
        for a, b in np.ndindex(3, 3):
            result[i, j] += padded[i + a, j + b] @ kernel[a, b]
    return result + bias


def _transpose_convolve_slowly(image, kernel, bias):
    """Insert zeros between the elements, then correlate with the flipped kernel."""
    height, width, channels = image.shape
    filters = kernel.shape[2]
    spread = np.zeros((2 * height + 1, 2 * width + 1, channels))
    for i, j in np.ndindex(height, width):
        spread[1 + 2 * i, 1 + 2 * j] = image[i, j]
    result = np.zeros((2 * height, 2 * width, filters))
    for i, j, o in np.ndindex(result.shape):
        for a, b, c in np.ndindex(2, 2, channels):
            result[i, j, o] += spread[i + a, j + b, c] * kernel[1 - a, 1 - b, o, c]
    return result + bias


def test_conv_block_is_twice_convolution_normalisation_and_relu():
    model = _model(conv_block, filters=5)
    once = [layers.Conv2D, layers.BatchNormalization, layers.ReLU]
    assert [type(layer) for layer in model.layers[1:]] == once * 2
    for convolution in (model.layers[1], model.layers[4]):
        assert convolution.kernel_size == (3, 3)
        assert convolution.strides == (1, 1)
        assert convolution.filters == 5
        assert isinstance(convolution.kernel_initializer, keras.initializers.HeNormal)


def test_conv_block_equals_its_plain_definition(random):
    model = _model(conv_block, filters=4, size=5)
    weights = [random.uniform(0.1, 1, w.shape) - 0.3 * (w.name == "kernel") for w in model.weights]
    model.set_weights(weights)
    image = random.normal(size=(5, 5, 3))
    expected = image
    for first in (0, 6):
        kernel, bias, gamma, beta, mean, variance = weights[first : first + 6]
        convolved = _convolve_slowly(expected, kernel, bias)
        expected = np.maximum(gamma * (convolved - mean) / np.sqrt(variance + 1e-3) + beta, 0)
    np.testing.assert_allclose(model(image[None])[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("padding", "edge"), [("same", 8), ("valid", 4)])
def test_valid_padding_loses_four_pixels_and_same_padding_none(padding, edge):
    assert _model(conv_block, filters=5, padding=padding).output_shape == (None, edge, edge, 5)


@pytest.mark.parametrize("kind", ["group", "instance"])
def test_group_and_instance_normalisation_come_before_each_relu(kind):
    model = _model(conv_block, filters=6, normalisation=kind)
    once = [layers.Conv2D, layers.GroupNormalization, layers.ReLU]
    assert [type(layer) for layer in model.layers[1:]] == once * 2


def test_no_normalisation_leaves_convolutions_and_relus():
    model = _model(conv_block, filters=6, normalisation="none")
    assert [type(layer) for layer in model.layers[1:]] == [layers.Conv2D, layers.ReLU] * 2


@pytest.mark.parametrize(
    ("filters", "groups"), [(1, 1), (2, 2), (6, 6), (8, 8), (9, 3), (11, 1), (20, 5), (64, 8)]
)
def test_groups_are_the_most_up_to_eight_that_divide_the_filters(filters, groups):
    model = _model(conv_block, filters=filters, normalisation="group")
    assert [model.layers[i].groups for i in (2, 5)] == [groups, groups]


def test_instance_normalisation_scales_each_channel_of_each_image(random):
    model = _model(conv_block, filters=6, normalisation="instance")
    convolved = random.normal(5, 3, (2, 8, 8, 6)).astype("float32")
    scaled = np.asarray(model.layers[2](convolved))
    centred = convolved - convolved.mean((1, 2), keepdims=True)
    expected = centred / np.sqrt(convolved.var((1, 2), keepdims=True) + 1e-3)
    np.testing.assert_allclose(scaled, expected, atol=1e-4)


def test_group_normalisation_scales_adjacent_channels_together(random):
    model = _model(conv_block, filters=16, normalisation="group")
    convolved = random.normal(5, 3, (2, 8, 8, 16)).astype("float32")
    scaled = np.asarray(model.layers[2](convolved)).reshape(2, 8, 8, 8, 2)
    np.testing.assert_allclose(scaled.mean((1, 2, 4)), 0, atol=1e-4)
    np.testing.assert_allclose(scaled.std((1, 2, 4)), 1, atol=1e-3)


def test_dropout_comes_last_and_acts_in_training_only(random):
    model = _model(conv_block, filters=8, dropout=0.5)
    assert isinstance(model.layers[-1], layers.Dropout)
    assert model.layers[-1].rate == 0.5
    image = random.normal(size=(1, 8, 8, 3))
    relu = keras.Model(model.input, model.layers[-2].output)
    np.testing.assert_array_equal(model(image), relu(image))
    trained, untouched = (np.asarray(m(image, training=True)) for m in (model, relu))
    dropped = (trained == 0) & (untouched > 0)
    assert 0.3 < dropped.sum() / (untouched > 0).sum() < 0.7


def test_a_name_prefixes_all_layers_and_no_name_works_too():
    named = _model(conv_block, filters=2, dropout=0.1, name="block")
    assert [layer.name for layer in named.layers[1:]] == [
        "block_conv_1",
        "block_norm_1",
        "block_relu_1",
        "block_conv_2",
        "block_norm_2",
        "block_relu_2",
        "block_dropout",
    ]
    nameless = _model(conv_block, filters=2)
    assert not any(layer.name.startswith("None") for layer in nameless.layers)


def test_encoder_block_gives_the_skip_and_its_two_by_two_maxima(random):
    model = _model(encoder_block, filters=4, name="level")
    skip, pooled = (np.asarray(t)[0] for t in model(random.normal(size=(1, 8, 8, 3))))
    assert model.get_layer("level_pool").pool_size == (2, 2)
    assert skip.shape == (8, 8, 4)
    expected = np.zeros((4, 4, 4))
    for i, j, c in np.ndindex(expected.shape):
        expected[i, j, c] = max(skip[2 * i + a, 2 * j + b, c] for a, b in np.ndindex(2, 2))
    np.testing.assert_array_equal(pooled, expected.astype("float32"))


@pytest.mark.parametrize(("channels", "filters"), [(1, 1), (2, 1), (1, 3), (4, 2), (3, 5)])
def test_the_up_convolution_inserts_zeros_and_applies_the_flipped_kernel(channels, filters, random):
    below, skip = keras.Input((4, 3, channels)), keras.Input((8, 6, 2))
    model = keras.Model([below, skip], decoder_block(below, skip, filters, name="level"))
    up = model.get_layer("level_up")
    assert (up.kernel_size, up.strides) == ((2, 2), (2, 2))
    kernel, bias = (random.normal(size=w.shape) for w in up.weights)
    up.set_weights([kernel, bias])
    image = random.normal(size=(4, 3, channels))
    expected = _transpose_convolve_slowly(image, kernel, bias)
    np.testing.assert_allclose(up(image[None])[0], expected, atol=1e-5)


def test_decoder_block_concatenates_the_middle_of_the_skip_after_the_up_convolution(random):
    below, skip = keras.Input((4, 4, 3)), keras.Input((14, 14, 5))
    model = keras.Model(
        [below, skip],
        decoder_block(below, skip, 2, crop=3, padding="valid", name="level"),
    )
    assert model.output_shape == (None, 4, 4, 2)
    names = ("level_up", "level_concat")
    inner = keras.Model(model.inputs, [model.get_layer(name).output for name in names])
    images = [random.normal(size=(1, *x.shape[1:])).astype("float32") for x in (below, skip)]
    up, joined = (np.asarray(t) for t in inner(images))
    np.testing.assert_array_equal(joined[..., :2], up)
    np.testing.assert_array_equal(joined[..., 2:], images[1][:, 3:11, 3:11])


def test_decoder_block_without_crop_has_no_cropping_layer():
    below, skip = keras.Input((4, 4, 3)), keras.Input((8, 8, 5))
    model = keras.Model([below, skip], decoder_block(below, skip, 2))
    assert not any(isinstance(layer, layers.Cropping2D) for layer in model.layers)
    assert model.output_shape == (None, 8, 8, 2)


def test_every_kernel_is_initialised_with_the_papers_deviation():
    """arXiv 1505.04597, section 3: sqrt(2 / N), N the incoming nodes of one neuron."""
    unet = build_unet((None, None, 1), base_filters=32, depth=2, classes=2, padding="valid")
    for layer in unet.layers:
        if not isinstance(layer, layers.Conv2D | layers.Conv2DTranspose):
            continue
        kernel = np.asarray(layer.kernel)
        is_up = isinstance(layer, layers.Conv2DTranspose)
        # With stride 2, one pixel of the output of a 2x2 kernel sees one pixel of the input.
        incoming = layer.input.shape[-1] * (1 if is_up else kernel.shape[0] * kernel.shape[1])
        error = kernel.std() / np.sqrt(2 / incoming) - 1
        assert abs(error) < 4 / np.sqrt(2 * kernel.size), layer.name
        assert abs(kernel.mean()) < 5 * np.sqrt(2 / incoming / kernel.size)
        assert not np.asarray(layer.bias).any()
