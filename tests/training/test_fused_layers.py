import keras
import numpy as np
import pytest
from keras import ops

from tests.support.networks import GREY, fit_settings, randomise, tiny_unet
from unetflow.augmentation.policy import Augmenter
from unetflow.models.segmentation_loss import SegmentationLoss
from unetflow.models.unet import count_heads
from unetflow.training.callbacks import TrainingListeners
from unetflow.training.fit import fit
from unetflow.training.fused_layers import copy_for_training

SILENT = TrainingListeners(lambda epoch, logs: None, lambda batch: None)
NETWORKS = [
    {},
    {"classes": 3, "depth": 3, "deep_supervision": 2},
    {"padding": "valid", "depth": 2},
    {"normalisation": "none"},
    {"normalisation": "group", "base_filters": 4},
]


def _images(count=3, edge=100):
    return np.random.default_rng(0).random((count, edge, edge, 1), np.float32)


def _truth(unet, images):
    shape = unet.compute_output_shape(images.shape)[:3]
    return np.random.default_rng(1).integers(0, 2, (*shape, 1), np.uint8)


def _step(network, images, labels, eagerly):
    """Take one step; return the loss and the weights as they were and as they became."""
    before = network.get_weights()
    outputs = count_heads(network)
    network.compile(
        optimizer=keras.optimizers.SGD(0.1),
        loss=SegmentationLoss("cce" if network.output_shape[-1] > 1 else "bce", None, outputs),
        run_eagerly=eagerly,
        jit_compile=False,
    )
    loss = network.train_on_batch(images, labels)
    return loss, before, network.get_weights()


@pytest.mark.parametrize("options", NETWORKS)
def test_the_copy_computes_and_learns_the_same_as_what_it_was_copied_from(options):
    unet = randomise(tiny_unet(**options))
    images = _images(edge=100 if options.get("padding") == "valid" else 104)
    expected = unet(images)
    copy = copy_for_training(unet, "float32")
    for network in (unet, copy):
        np.testing.assert_allclose(network(images), expected, atol=2e-6)

    labels = _truth(unet, images)
    # A graph, in which operations are fused, takes seconds to trace: one network is enough.
    eagerly = options != {}
    loss, before, after = _step(unet, images, labels, eagerly)
    copy_loss, copy_before, copy_after = _step(copy, images, labels, eagerly)
    assert copy_loss == pytest.approx(loss, rel=1e-5)
    changed = 0
    for variable, *weights in zip(
        unet.weights, before, copy_before, after, copy_after, strict=True
    ):
        was, copy_was, becomes, copy_becomes = weights
        np.testing.assert_array_equal(was, copy_was)
        np.testing.assert_allclose(copy_becomes, becomes, atol=1e-4, err_msg=variable.path)
        changed += not np.array_equal(copy_becomes, was)
    assert changed > len(before) / 2


def test_a_bias_before_a_normalisation_is_kept_in_the_moving_mean_and_learns_nothing():
    unet = randomise(tiny_unet())
    convolution, normalisation = (unet.get_layer(f"encoder_1_{n}") for n in ("conv_2", "norm_2"))
    bias, mean = (ops.convert_to_numpy(x) for x in (convolution.bias, normalisation.moving_mean))
    assert np.abs(bias).min() > 0
    copy = copy_for_training(unet, "float32")
    np.testing.assert_array_equal(convolution.bias, np.zeros_like(bias))
    np.testing.assert_allclose(normalisation.moving_mean, mean - bias, rtol=1e-6)
    names = {variable.path for variable in copy.trainable_variables}
    assert "encoder_1_conv_2/bias" not in names
    assert {"encoder_1_conv_2/kernel", "decoder_1_up/bias", "probabilities/bias"} <= names


@pytest.mark.parametrize(
    ("options", "padding"),
    [({}, "same"), ({"classes": 3, "depth": 3, "deep_supervision": 2}, "valid")],
)
def test_the_same_network_computes_in_bfloat16_with_probabilities_in_float32(options, padding):
    unet = randomise(tiny_unet(padding=padding, **options))
    copy = copy_for_training(unet, "bfloat16")
    image = _images(2, edge=104 if padding == "same" else 100)  # which both depths can halve
    found, expected = (np.asarray(model(image)) for model in (copy, unet))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=0.1)
    assert not np.array_equal(found, expected)
    kinds = {layer.name: layer.compute_dtype for layer in copy.layers if layer.weights}
    assert kinds["probabilities"] == "float32"
    assert kinds["encoder_1_conv_1"] == "bfloat16"
    assert {weight.dtype for weight in copy.weights} == {"float32"}
    assert {layer.compute_dtype for layer in unet.layers} == {"float32"}


def test_the_statistics_of_a_batch_are_in_float32_in_bfloat16_too():
    unet = tiny_unet()
    images = 100 + _images()  # whose spread bfloat16 alone would lose
    moments = {}
    for precision in ("float32", "bfloat16"):
        copy = copy_for_training(unet, precision)
        copy(images, training=True)
        layer = copy.get_layer("encoder_1_norm_1")
        moments[precision] = ops.convert_to_numpy(layer.moving_variance)
        assert layer.moving_mean.dtype == "float32"
    np.testing.assert_allclose(moments["bfloat16"], moments["float32"], rtol=0.3)


@pytest.mark.slow
def test_a_training_in_bfloat16_leaves_a_network_in_float32(squares, other_squares):
    tables = {}
    for name in ("float32", "bfloat16"):
        keras.utils.set_random_seed(0)
        unet = tiny_unet(base_filters=4, normalisation="none")
        start = unet.get_weights()
        settings = fit_settings(epochs=12, precision=name)
        data = squares, other_squares, GREY
        tables[name] = fit(unet, *data, Augmenter([]), settings, SILENT, seed=3)
        assert {layer.compute_dtype for layer in unet.layers} == {"float32"}
        assert {type(layer).__module__.split(".")[0] for layer in unet.layers} == {"keras"}
        assert not np.array_equal(unet.get_weights()[0], start[0])
    assert not tables["bfloat16"].equals(tables["float32"])
    best = {name: table["val_dice"].max() for name, table in tables.items()}
    assert best["bfloat16"] == pytest.approx(best["float32"], abs=0.03)
    assert best["float32"] > 0.9


@pytest.mark.parametrize(
    ("normalisation", "precision"),
    [
        *(("batch", precision) for precision in ("float32", "bfloat16")),
        ("none", "float32"),
        ("group", "bfloat16"),
        ("instance", "float32"),
    ],
)
def test_what_is_no_number_shows_in_the_loss(normalisation, precision):
    images = _images(edge=32)
    labels = np.ones((*images.shape[:3], 1), np.uint8)
    spoilt = images.copy()
    spoilt[0, 3, 3] = np.nan
    copy = copy_for_training(tiny_unet(normalisation=normalisation), precision)
    weights = copy.get_weights()
    copy.compile(optimizer="sgd", loss=SegmentationLoss("bce"), jit_compile=False)
    assert np.isfinite(copy.train_on_batch(images, labels))
    copy.set_weights(weights)
    assert not np.isfinite(copy.train_on_batch(spoilt, labels))
    copy.set_weights(weights)
    kernel = copy.get_layer("encoder_1_conv_2").kernel
    kernel.assign(np.full(kernel.shape, np.inf))
    assert not np.isfinite(copy.train_on_batch(images, labels))
