import keras
import numpy as np
import pytest

from tests.unet.helpers import GREY, fit_settings, randomise, tiny_unet
from unetflow.imaging.augmentation import Augmenter
from unetflow.unet import precision
from unetflow.unet.callbacks import TrainingListeners
from unetflow.unet.fit import fit
from unetflow.unet.precision import choose_precision, in_precision

SILENT = TrainingListeners(lambda epoch, logs: None, lambda batch: None)


@pytest.mark.parametrize(
    ("gpu", "flags", "chosen"),
    [
        (None, {"avx2"}, "float32"),
        (None, {"avx2", "avx512f", "avx512_bf16"}, "bfloat16"),
        (None, {"amx_bf16"}, "bfloat16"),
        ((7, 5), {"avx512_bf16"}, "float32"),
        ((8, 0), set(), "bfloat16"),
        ((9, 0), set(), "bfloat16"),
    ],
)
def test_the_precision_is_the_one_that_the_machine_is_quick_at(monkeypatch, gpu, flags, chosen):
    monkeypatch.setattr(precision, "find_gpu_capability", lambda: gpu)
    monkeypatch.setattr(precision, "read_processor_flags", lambda: flags)
    assert choose_precision("auto") == chosen
    assert choose_precision("float32") == "float32"
    assert choose_precision("bfloat16") == "bfloat16"


@pytest.mark.parametrize("options", [{}, {"classes": 3, "depth": 3, "deep_supervision": 2}])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_the_same_network_computes_in_bfloat16_with_probabilities_in_float32(options, padding):
    unet = randomise(tiny_unet(padding=padding, **options))
    copy = in_precision(unet, "bfloat16")
    edge = 104 if padding == "same" else 100  # which both depths can halve
    image = np.random.default_rng(0).random((2, edge, edge, 1), np.float32)
    found, expected = (np.asarray(model(image)) for model in (copy, unet))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=0.1)
    assert not np.array_equal(found, expected)
    kinds = {layer.name: layer.compute_dtype for layer in copy.layers if layer.weights}
    assert kinds["probabilities"] == "float32"
    assert kinds["encoder_1_conv_1"] == "bfloat16"
    assert {weight.dtype for weight in copy.weights} == {"float32"}
    assert {layer.compute_dtype for layer in unet.layers} == {"float32"}


def test_float32_is_the_network_itself():
    unet = tiny_unet()
    assert in_precision(unet, "float32") is unet


def test_a_training_in_bfloat16_leaves_a_network_in_float32(squares, other_squares):
    tables = {}
    for name in ("float32", "bfloat16"):
        keras.utils.set_random_seed(0)
        unet = tiny_unet(base_filters=4, normalisation="none")
        start = unet.get_weights()
        settings = fit_settings(epochs=12, precision=name)
        tables[name] = fit(unet, squares, other_squares, GREY, Augmenter([]), settings, SILENT)
        assert {layer.compute_dtype for layer in unet.layers} == {"float32"}
        assert not np.array_equal(unet.get_weights()[0], start[0])
    assert not tables["bfloat16"].equals(tables["float32"])
    best = {name: table["val_dice"].max() for name, table in tables.items()}
    assert best["bfloat16"] == pytest.approx(best["float32"], abs=0.03)
    assert best["float32"] > 0.9
