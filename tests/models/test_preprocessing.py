import keras
import numpy as np
import pytest

from tests.support.networks import randomise, tiny_unet
from unetflow.data.intensity import IntensityRange, normalise
from unetflow.models.keras_io import load_keras, save_keras
from unetflow.models.segmentation_loss import SegmentationLoss
from unetflow.models.unet import with_preprocessing

RANGES = {
    "uint8": IntensityRange(low=[12.0], high=[201.0]),
    "uint8 colour": IntensityRange(low=[0.0, 12.0, 100.0], high=[255.0, 201.0, 101.0]),
    "uint16": IntensityRange(low=[400.0], high=[4000.0]),
    "uint16 colour": IntensityRange(low=[0.0, 400.0, 1.0], high=[65535.0, 4000.0, 30000.0]),
}
NARROW = IntensityRange(low=[60_000.0], high=[60_100.0])


def _raw(intensity, dtype, random):
    """Draw pixels below, within and above the range of each channel."""
    low, high = np.array(intensity.low), np.array(intensity.high)
    wide = random.uniform(low - 0.3 * (high - low), high + 0.3 * (high - low), (2, 8, 8, len(low)))
    return np.clip(wide, 0, np.iinfo(dtype).max).round().astype(dtype)


@pytest.mark.parametrize("name", RANGES)
def test_it_computes_what_normalise_and_the_network_compute(name, random):
    intensity, dtype = RANGES[name], name.split()[0]
    channels = len(intensity.low)
    unet = randomise(tiny_unet(input_shape=(None, None, channels)))
    raw = _raw(intensity, dtype, random)
    found = with_preprocessing(unet, intensity)(raw.astype(np.float32))
    expected = unet(normalise(raw, intensity))
    assert np.std(expected) > 1e-3
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("name", RANGES)
def test_the_network_sees_the_scaled_and_clipped_image(name, random):
    intensity = RANGES[name]
    raw = _raw(intensity, name.split()[0], random)
    model = with_preprocessing(tiny_unet(input_shape=(None, None, raw.shape[3])), intensity)
    seen = keras.Model(model.input, model.get_layer("clip").output)(raw.astype(np.float32))
    np.testing.assert_allclose(seen, normalise(raw, intensity), atol=1e-6)
    assert (np.min(seen), np.max(seen)) == (0, 1)


def test_a_narrow_range_of_large_numbers_is_scaled_exactly(random):
    raw = _raw(NARROW, "uint16", random)
    model = with_preprocessing(tiny_unet(), NARROW)
    seen = keras.Model(model.input, model.get_layer("clip").output)(raw.astype(np.float32))
    np.testing.assert_allclose(seen, normalise(raw, NARROW), atol=1e-6)


def test_it_has_neither_loss_nor_optimiser():
    unet = tiny_unet()
    unet.compile(optimizer="adam", loss=SegmentationLoss("bce + dice"))
    model = with_preprocessing(unet, RANGES["uint8"])
    assert not model.compiled
    assert not model.get_layer("U-Net").compiled
    assert unet.compiled


def test_it_has_a_copy_of_the_weights(random):
    unet = randomise(tiny_unet())
    model = with_preprocessing(unet, RANGES["uint8"])
    raw = _raw(RANGES["uint8"], "uint8", random).astype(np.float32)
    before = np.asarray(model(raw))
    randomise(unet, seed=1)
    np.testing.assert_array_equal(model(raw), before)
    again = with_preprocessing(unet, RANGES["uint8"])
    assert np.abs(np.asarray(again(raw)) - before).max() > 1e-3


def test_it_survives_saving_and_loading(tmp_path, random):
    model = with_preprocessing(
        randomise(tiny_unet(input_shape=(None, None, 3))), RANGES["uint16 colour"]
    )
    save_keras(model, tmp_path / "model.keras")
    raw = _raw(RANGES["uint16 colour"], "uint16", random).astype(np.float32)
    np.testing.assert_array_equal(load_keras(tmp_path / "model.keras")(raw), model(raw))
