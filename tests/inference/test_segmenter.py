import json
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest
from skimage.measure import label

from tests.support.networks import ONE_PIXEL, fit_settings, randomise, tiny_unet
from tests.support.segmenter_settings import make_settings
from unetflow.core.errors import InputError
from unetflow.data.intensity import IntensityRange, normalise
from unetflow.inference.postprocessing import Postprocessing, scale_threshold
from unetflow.inference.segmenter import Segmenter
from unetflow.models.keras_io import save_keras
from unetflow.models.segmentation_loss import SegmentationLoss, dice
from unetflow.models.unet import geometry_of, with_preprocessing
from unetflow.training.optimisers import build_optimiser

RANGE = IntensityRange(low=[10.0], high=[200.0])
PLAIN_KERAS = """
import sys
import keras
import numpy as np
model = keras.saving.load_model(sys.argv[1])
np.save(sys.argv[3], model.predict_on_batch(np.load(sys.argv[2])))
assert not any(name.startswith("unetflow") for name in sys.modules)
"""


@pytest.fixture
def saved(segmenter, tmp_path):
    path = tmp_path / "segmenter.keras"
    segmenter.save(path)
    return path


@pytest.fixture
def image(random):
    return random.integers(0, 256, (37, 53, 1), np.uint8)


def test_a_loaded_segmenter_gives_the_same_probabilities(segmenter, saved, image):
    loaded = Segmenter.load(saved)
    assert loaded.settings == segmenter.settings
    expected = segmenter.predict_probabilities(image)
    np.testing.assert_array_equal(loaded.predict_probabilities(image), expected)
    assert expected.std() > 0.01


@pytest.mark.parametrize("size", [(37, 53), (1, 1), (1, 9), (64, 64), (70, 130)])
def test_the_mask_has_the_size_of_its_image(segmenter, size, random):
    image = random.integers(0, 256, (*size, 1), np.uint8)
    mask = segmenter.predict(image)
    assert (mask.shape, mask.dtype) == (size, np.uint8)
    assert set(np.unique(mask)) <= {0, 1}
    assert segmenter.predict_probabilities(image).shape == (*size, 1)


def test_the_probabilities_are_the_networks_on_the_scaled_image(segmenter, random):
    raw = random.integers(0, 256, (12, 16, 1), np.uint8)
    unet = segmenter.model.get_layer("U-Net")
    expected = np.asarray(unet(normalise(raw, RANGE)[None]))[0]
    np.testing.assert_allclose(segmenter.predict_probabilities(raw), expected, atol=1e-6)


def test_a_pixel_at_the_threshold_is_foreground(segmenter):
    probabilities = np.array([[[0.39], [0.4], [0.41]]], np.float32)
    np.testing.assert_array_equal(segmenter.postprocessing.apply(probabilities), [[0, 1, 1]])


def test_predicting_is_deciding_on_the_probabilities(segmenter, image):
    mask = segmenter.predict(image)
    expected = segmenter.predict_probabilities(image)[:, :, 0] >= np.float32(0.4)
    np.testing.assert_array_equal(mask, expected)
    assert 0 < mask.mean() < 1


def test_another_threshold_gives_another_segmenter_of_the_same_model(segmenter, image):
    strict = segmenter.with_postprocessing(Postprocessing(threshold=0.6))
    assert (strict.postprocessing.threshold, segmenter.postprocessing.threshold) == (
        0.6,
        0.4,
    )
    assert strict.model is segmenter.model
    assert strict.predict(image).sum() < segmenter.predict(image).sum()


def test_the_temperature_changes_the_probabilities_and_the_same_pixels_are_found(segmenter, image):
    plain = segmenter.predict_probabilities(image)
    cooled = segmenter.with_postprocessing(
        Postprocessing(threshold=scale_threshold(0.4, 2.5), temperature=2.5)
    )
    expected = 1 / (1 + np.exp(-np.log(plain / (1 - plain)) / 2.5))
    np.testing.assert_allclose(cooled.predict_probabilities(image), expected, atol=1e-5)
    np.testing.assert_array_equal(cooled.predict(image), segmenter.predict(image))


def test_objects_that_are_too_small_are_removed(segmenter, image):
    before = segmenter.predict(image)
    after = segmenter.with_postprocessing(Postprocessing(threshold=0.4, min_object_size=6)).predict(
        image
    )
    sizes = np.bincount(label(before, connectivity=2).ravel())[1:]
    assert after.sum() == sizes[sizes >= 6].sum() < before.sum()
    assert set(np.bincount(label(after, connectivity=2).ravel())[1:]) == set(sizes[sizes >= 6])


def test_what_was_settled_is_stored(segmenter, tmp_path):
    settled = segmenter.with_postprocessing(
        Postprocessing(threshold=0.3, temperature=1.7, min_object_size=12)
    )
    settled.save(tmp_path / "settled.keras")
    assert Segmenter.load(tmp_path / "settled.keras").settings == settled.settings


def test_a_segmenter_that_was_stored_before_there_was_a_temperature_still_loads(tmp_path):
    saved, old = tmp_path / "saved.keras", tmp_path / "old.keras"
    inputs = keras.Input((None, None, 1))
    small = keras.Model(inputs, keras.layers.Identity()(inputs))
    Segmenter(small, make_settings(["a"], 0.5, 1, "uint8", ONE_PIXEL, 8)).save(saved)
    with zipfile.ZipFile(saved) as now, zipfile.ZipFile(old, "w") as then:
        for name in set(now.namelist()) - {"digests.json"}:
            content = now.read(name)
            if name == "segmenter.json":
                settings = json.loads(content)
                settings["threshold"] = settings.pop("postprocessing")["threshold"]
                content = json.dumps(settings)
            then.writestr(name, content)
    assert Segmenter.load(old).postprocessing == Postprocessing(threshold=0.5)


def test_a_grey_image_needs_no_channel_axis(segmenter, image):
    np.testing.assert_array_equal(segmenter.predict(image[:, :, 0]), segmenter.predict(image))


@pytest.mark.parametrize("shape", [(8, 8, 3), (8, 8, 0), (1, 8, 8, 1), (8,)])
def test_another_number_of_channels_is_refused(segmenter, shape):
    with pytest.raises(InputError) as caught:
        segmenter.predict(np.zeros(shape, np.uint8))
    assert str(caught.value) == (
        f"image of shape {shape}: the model was trained on 1 channels. "
        "Give it as (height, width, 1)."
    )


def test_a_colour_segmenter_takes_colour_and_refuses_grey(random):
    unet = randomise(tiny_unet(input_shape=(None, None, 3), depth=1))
    model = with_preprocessing(unet, IntensityRange([0.0] * 3, [65535.0] * 3))
    settings = make_settings(["a", "b"], 0.5, 3, "uint16", geometry_of(unet), 32)
    colour = Segmenter(model, settings)
    assert colour.predict(random.integers(0, 65536, (5, 7, 3), np.uint16)).shape == (5, 7)
    with pytest.raises(InputError, match="trained on 3 channels"):
        colour.predict(np.zeros((5, 7), np.uint16))


@pytest.mark.process
def test_plain_keras_opens_a_trained_segmenter_without_this_package(tmp_path, random):
    unet = randomise(tiny_unet())
    optimiser = build_optimiser(fit_settings(), total_steps=5)
    unet.compile(optimizer=optimiser, loss=SegmentationLoss("bce + dice"), metrics=[dice])
    unet.train_on_batch(random.random((1, 8, 8, 1)), np.ones((1, 8, 8, 1)))
    settings = make_settings(["a", "b"], 0.5, 1, "uint8", geometry_of(unet), 32)
    segmenter = Segmenter(with_preprocessing(unet, RANGE), settings)
    files = [tmp_path / name for name in ("segmenter.keras", "raw.npy", "probabilities.npy")]
    segmenter.save(files[0])
    raw = random.integers(0, 256, (16, 16, 1), np.uint8)
    np.save(files[1], raw[None].astype(np.float32))
    subprocess.run([sys.executable, "-c", PLAIN_KERAS, *map(str, files)], check=True, cwd=tmp_path)
    expected = segmenter.predict_probabilities(raw)
    np.testing.assert_allclose(np.load(files[2])[0], expected, atol=1e-6)


def test_saving_replaces_the_old_file_and_leaves_no_other(segmenter, saved):
    segmenter.with_postprocessing(Postprocessing(threshold=0.9)).save(saved)
    assert Segmenter.load(saved).postprocessing.threshold == 0.9
    assert [path.name for path in saved.parent.iterdir()] == ["segmenter.keras"]


def test_a_model_without_settings_is_refused(tmp_path):
    path = tmp_path / "unet.keras"
    save_keras(tiny_unet(), path)
    with pytest.raises(InputError, match="without the settings of a segmenter") as caught:
        Segmenter.load(path)
    assert caught.value.where == str(path)
    assert "evaluation" in caught.value.fix


def _without(name):
    return lambda settings: json.dumps({k: v for k, v in settings.items() if k != name})


@pytest.mark.parametrize(
    "change",
    [
        lambda settings: "{",
        lambda settings: "[]",
        lambda settings: json.dumps({**settings, "unknown": 1}),
        lambda settings: json.dumps({**settings, "geometry": {"stride": 2}}),
        lambda settings: " " * 1_000_001,
        lambda settings: json.dumps(settings | {"postprocessing": {"temperature": 1}}),
        _without("postprocessing"),
        _without("geometry"),
    ],
    ids=[
        "no JSON",
        "list",
        "unknown",
        "geometry",
        "too large",
        "no threshold",
        "no postprocessing",
        "no geometry",
    ],
)
def test_settings_that_make_no_sense_are_refused(tmp_path, change):
    saved, path = tmp_path / "saved.keras", tmp_path / "changed.keras"
    inputs = keras.Input((None, None, 1))
    small = keras.Model(inputs, keras.layers.Identity()(inputs))
    Segmenter(small, make_settings(["a"], 0.5, 1, "uint8", ONE_PIXEL, 8)).save(saved)
    assert Segmenter.load(saved).settings.classes == ["a"]
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(path, "w") as new:
        for name in set(old.namelist()) - {"digests.json"}:
            content = old.read(name)
            if name == "segmenter.json":
                content = change(json.loads(content))
            new.writestr(name, content)
    with pytest.raises(InputError, match="without the settings of a segmenter"):
        Segmenter.load(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="the file is not there"):
        Segmenter.load(tmp_path / "absent.keras")


def test_image_of_another_bit_depth_is_refused(segmenter):
    with pytest.raises(InputError, match="trained on uint8 images, whose intensities differ"):
        segmenter.predict(np.zeros((8, 8, 1), np.uint16))
