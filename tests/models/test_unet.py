import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tests.support.networks import randomise, tiny_unet
from unetflow.core.errors import InputError
from unetflow.models.unet import build_unet


@pytest.fixture(scope="module")
def full_size():
    return build_unet((256, 256, 3))


@pytest.fixture(scope="module")
def of_the_paper():
    return build_unet(
        (572, 572, 1), padding="valid", normalisation="none", classes=2, up_activation="relu"
    )


def _map_shape(network, block):
    return network.get_layer(f"{block}_relu_2").output.shape[1:]


def test_the_default_network_has_the_known_size(full_size):
    assert full_size.count_params() == 31_055_297
    assert full_size.name == "U-Net"
    assert full_size.output_shape == (None, 256, 256, 1)


@pytest.mark.parametrize(
    ("level", "edge", "filters"), [(1, 256, 64), (2, 128, 128), (3, 64, 256), (4, 32, 512)]
)
def test_each_level_halves_the_edge_and_doubles_the_filters(full_size, level, edge, filters):
    assert _map_shape(full_size, f"encoder_{level}") == (edge, edge, filters)
    assert _map_shape(full_size, f"decoder_{level}") == (edge, edge, filters)
    up = full_size.get_layer(f"decoder_{level}_up")
    assert up.output.shape[1:] == (edge, edge, filters)
    joined = full_size.get_layer(f"decoder_{level}_concat")
    assert joined.output.shape[1:] == (edge, edge, 2 * filters)


def test_the_bottleneck_is_the_smallest_and_widest_map(full_size):
    assert _map_shape(full_size, "bottleneck") == (16, 16, 1024)


def test_the_whole_network_is_the_layers_of_the_paper_in_order(full_size):
    block = [layers.Conv2D, layers.BatchNormalization, layers.ReLU] * 2
    encoder = [*block, layers.MaxPooling2D]
    decoder = [layers.Conv2DTranspose, layers.Concatenate, *block]
    assert [type(layer) for layer in full_size.layers] == [
        layers.InputLayer,
        *(encoder * 4),
        *block,
        *(decoder * 4),
        layers.Conv2D,
    ]


def test_every_convolution_has_the_papers_kernel(full_size):
    *inner, head = (layer for layer in full_size.layers if isinstance(layer, layers.Conv2D))
    assert len(inner) == 18
    assert {(c.kernel_size, c.strides, c.padding) for c in inner} == {((3, 3), (1, 1), "same")}
    assert (head.kernel_size, head.filters, head.activation.__name__) == ((1, 1), 1, "sigmoid")
    ups = [layer for layer in full_size.layers if isinstance(layer, layers.Conv2DTranspose)]
    assert [(up.kernel_size, up.strides) for up in ups] == [((2, 2), (2, 2))] * 4
    pools = [layer for layer in full_size.layers if isinstance(layer, layers.MaxPooling2D)]
    assert [(pool.pool_size, pool.strides) for pool in pools] == [((2, 2), (2, 2))] * 4


def test_the_network_of_the_paper_has_its_size(of_the_paper):
    assert of_the_paper.count_params() == 31_030_658
    assert of_the_paper.output_shape == (None, 388, 388, 2)
    assert of_the_paper.layers[-1].activation.__name__ == "softmax"


def test_the_feature_maps_of_the_paper_have_its_edges(of_the_paper):
    blocks = [f"encoder_{level}" for level in (1, 2, 3, 4)]
    blocks += ["bottleneck", *(f"decoder_{level}" for level in (4, 3, 2, 1))]
    edges = [_map_shape(of_the_paper, block)[0] for block in blocks]
    assert edges == [568, 280, 136, 64, 28, 52, 100, 196, 388]


def test_the_skips_of_the_paper_are_cropped_equally_at_all_sides(of_the_paper):
    crops = [of_the_paper.get_layer(f"decoder_{level}_crop").cropping for level in (4, 3, 2, 1)]
    assert crops == [((c, c), (c, c)) for c in (4, 16, 40, 88)]


def test_a_relu_follows_each_up_convolution_of_the_paper(of_the_paper, full_size):
    names = [layer.name for layer in of_the_paper.layers if layer.name.endswith("_up_relu")]
    assert names == [f"decoder_{level}_up_relu" for level in (4, 3, 2, 1)]
    for name in names:
        before = of_the_paper.get_layer(name.removesuffix("_relu")).output
        assert of_the_paper.get_layer(name).input is before
    assert not [layer.name for layer in full_size.layers if layer.name.endswith("_up_relu")]


def test_softmax_probabilities_sum_to_one(random):
    unet = randomise(tiny_unet(classes=3, padding="valid", depth=2))
    probabilities = np.asarray(unet(random.random((2, 44, 44, 1))))
    assert probabilities.shape == (2, 4, 4, 3)
    np.testing.assert_allclose(probabilities.sum(-1), 1, atol=1e-6)
    assert probabilities.std() > 0.01


def _parts(unet, depth):
    """Split a network into the contracting path, and the expanding path as a function of it."""
    blocks = ["bottleneck", *(f"encoder_{level + 1}" for level in range(depth))]
    maps = [unet.get_layer(f"{block}_relu_2").output for block in blocks]
    return keras.Model(unet.input, maps), keras.Model(maps, unet.output)


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_every_encoder_level_reaches_its_decoder(padding, random):
    edge = {"same": 16, "valid": 100}[padding]
    unet = randomise(tiny_unet(input_shape=(edge, edge, 1), depth=3, padding=padding))
    down, up = _parts(unet, 3)
    image = random.random((1, edge, edge, 1)).astype("float32")
    maps = [np.asarray(t) for t in down(image)]
    whole = np.asarray(up(maps))
    np.testing.assert_allclose(whole, unet(image), atol=1e-6)
    for level in (1, 2, 3):
        noise = random.normal(0, 1, maps[level].shape).astype("float32")
        changed = [*maps[:level], maps[level] + noise, *maps[level + 1 :]]
        assert np.abs(np.asarray(up(changed)) - whole).max() > 1e-3


def _gradients(unet, image):
    first, lowest = (
        unet.get_layer(f"{name}_conv_1").kernel for name in ("encoder_1", "bottleneck")
    )
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(unet(image))
    return [np.abs(g).max() for g in tape.gradient(total, [first.value, lowest.value])]


def test_the_top_skip_alone_passes_gradients_to_the_first_convolution(random):
    unet = randomise(tiny_unet(input_shape=(16, 16, 1), depth=2, base_filters=4))
    image = tf.constant(random.random((1, 16, 16, 1)), tf.float32)
    assert min(_gradients(unet, image)) > 1e-3
    up = unet.get_layer("decoder_1_up").kernel
    up.assign(np.zeros(up.shape))
    first, lowest = _gradients(unet, image)
    assert first > 1e-3
    assert lowest == 0


@pytest.mark.parametrize(
    ("classes", "activation"), [(1, "sigmoid"), (2, "softmax"), (5, "softmax")]
)
def test_the_head_follows_the_number_of_classes(classes, activation):
    head = tiny_unet(classes=classes).layers[-1]
    assert (head.filters, head.activation.__name__) == (classes, activation)


@pytest.mark.parametrize(
    ("kind", "layer", "groups"),
    [
        ("batch", layers.BatchNormalization, None),
        ("group", layers.GroupNormalization, {3}),
        ("instance", layers.GroupNormalization, {9}),
    ],
)
def test_every_block_has_the_chosen_normalisation(kind, layer, groups):
    unet = tiny_unet(normalisation=kind, base_filters=9)
    found = [x for x in unet.layers if "_norm_" in x.name]
    assert len(found) == 6
    assert {type(x) for x in found} == {layer}
    if groups is not None:
        assert {x.groups for x in found[:2]} == groups


def test_without_normalisation_there_is_no_such_layer():
    unet = tiny_unet(normalisation="none")
    kinds = (layers.BatchNormalization, layers.GroupNormalization)
    assert not any(isinstance(layer, kinds) for layer in unet.layers)


def test_dropout_is_only_at_the_end_of_the_contracting_path():
    unet = tiny_unet(depth=3, dropout=0.25)
    dropouts = [layer for layer in unet.layers if isinstance(layer, layers.Dropout)]
    assert [d.name for d in dropouts] == ["encoder_3_dropout", "bottleneck_dropout"]
    assert {d.rate for d in dropouts} == {0.25}
    assert not any(isinstance(layer, layers.Dropout) for layer in tiny_unet(depth=3).layers)


def test_the_name_can_be_chosen():
    assert tiny_unet(name="other").name == "other"


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("base_filters", 0, "base_filters: 0 is too small. Use 1 or more."),
        ("depth", 0, "depth: 0 is too small. Use 1 or more."),
        ("classes", 0, "classes: 0 is too small. Use 1 or more."),
        (
            "normalisation",
            "layer",
            "normalisation: 'layer' is unknown. Use one of batch, group, instance, none.",
        ),
        ("padding", "full", "padding: 'full' is unknown. Use one of same, valid."),
        ("dropout", -0.1, "dropout: -0.1 is not a fraction. Use 0 or more, less than 1."),
        ("dropout", 1.0, "dropout: 1.0 is not a fraction. Use 0 or more, less than 1."),
    ],
)
def test_a_bad_argument_is_named(option, value, message):
    with pytest.raises(InputError) as caught:
        tiny_unet(**{option: value})
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("height", "width", "padding", "where", "sizes"),
    [
        (250, 256, "same", "height 250", "240 and 256"),
        (256, 250, "same", "width 250", "240 and 256"),
        (None, 7, "same", "width 7", "16"),
        (0, 16, "same", "height 0", "16"),
        (570, 572, "valid", "height 570", "556 and 572"),
        (572, 100, "valid", "width 100", "188"),
    ],
)
def test_a_size_that_cannot_be_halved_is_refused_with_the_nearest_that_can(
    height, width, padding, where, sizes
):
    with pytest.raises(InputError) as caught:
        build_unet((height, width, 1), padding=padding)
    assert caught.value.where == where
    assert "depth 4" in caught.value.problem
    assert caught.value.fix == f"The nearest sizes that fit are {sizes}"


def test_the_smallest_size_that_is_named_can_be_built():
    unet = tiny_unet(input_shape=(188, 188, 1), depth=4, padding="valid")
    assert unet.output_shape == (None, 4, 4, 1)
