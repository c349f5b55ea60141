import json

import keras
import numpy as np
import pytest
import tifffile

from tests.support.networks import randomise, threshold_amid, tiny_unet
from tests.support.segmenter_settings import make_settings
from unetflow.config.mask_export import MaskExportParameters
from unetflow.core.errors import InputError
from unetflow.data.intensity import IntensityRange
from unetflow.inference.blockwise.segment_blocks import describe_segmenter, segment_blocks
from unetflow.inference.segmenter import Segmenter
from unetflow.inference.tta import predict_views
from unetflow.io.image_file import open_large
from unetflow.models.unet import geometry_of, with_preprocessing


@pytest.fixture
def image_file(tmp_path, random):
    pixels = random.integers(0, 256, (150, 171), np.uint8)
    (tmp_path / "images").mkdir()
    tifffile.imwrite(tmp_path / "images" / "a.tif", pixels, tile=(32, 32), compression="zlib")
    return tmp_path / "images" / "a.tif"


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_a_large_image_gets_the_label_of_the_whole_image(image_file, tmp_path, padding):
    unet = randomise(tiny_unet(depth=2, padding=padding), seed=4)
    model = with_preprocessing(unet, IntensityRange(low=[10.0], high=[200.0]))
    settings = make_settings(
        ["background", "nucleus"],
        0.5,
        1,
        "uint8",
        geometry_of(unet),
        64,
        temperature=1.7,
        min_object_size=6,
    )
    pixels = tifffile.imread(image_file)
    expected = Segmenter(model, settings).predict_probabilities(pixels)
    tuned = settings.postprocessing.model_copy(update={"threshold": threshold_amid(expected)})
    segmenter = Segmenter(model, settings).with_postprocessing(tuned)
    target, probabilities = tmp_path / "a.tif", tmp_path / "p.tif"
    with open_large(image_file) as image:
        done = segment_blocks(segmenter, image, target, probabilities=probabilities, block=60)
    assert done.blocks > 4
    np.testing.assert_allclose(tifffile.imread(probabilities), expected[:, :, 0], atol=1e-5)
    found = tifffile.imread(target)
    np.testing.assert_array_equal(found, segmenter.predict(pixels))
    assert 0.05 < found.mean() < 0.95


def test_views_are_averaged_on_request(segmenter, tmp_path, random):
    pixels = random.integers(0, 256, (96, 128), np.uint8)  # whose turns are padded nowhere
    tifffile.imwrite(tmp_path / "image.tif", pixels)
    with open_large(tmp_path / "image.tif") as image:
        segment_blocks(
            segmenter,
            image,
            tmp_path / "a.tif",
            wanted=MaskExportParameters(views=8),
            probabilities=tmp_path / "p.tif",
            block=60,
        )
    expected = predict_views(segmenter.predict_probabilities, pixels[:, :, np.newaxis], 8)
    found = tifffile.imread(tmp_path / "p.tif")
    np.testing.assert_allclose(found, expected.mean[:, :, 0], atol=1e-5)
    assert np.abs(found - expected.plain[:, :, 0]).max() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["openvino", "onnx"])
def test_other_runtimes_segment_blocks_and_identify_their_network(
    segmenter, exports, image_file, tmp_path, runtime, monkeypatch
):
    second = segmenter.on_runtime(runtime)
    other = Segmenter(randomise(keras.models.clone_model(segmenter.model)), segmenter.settings)
    # Its network is identified by that of Keras, of which `second` is another conversion.
    monkeypatch.setattr(Segmenter, "convert", lambda self, runtime: exports[runtime])
    first = segmenter.on_runtime(runtime)
    assert describe_segmenter(first) == describe_segmenter(second)
    assert describe_segmenter(first)["model"] != describe_segmenter(segmenter)["model"]
    exports[runtime].write(tmp_path / "exported")
    exported = Segmenter.load(tmp_path / "exported")
    for one in (first, exported):
        json.dumps(describe_segmenter(one))
        with open_large(image_file) as image:
            segment_blocks(
                one, image, tmp_path / "a.tif", probabilities=tmp_path / "p.tif", block=60
            )
        expected = one.predict_probabilities(tifffile.imread(image_file))[:, :, 0]
        np.testing.assert_allclose(tifffile.imread(tmp_path / "p.tif"), expected, atol=1e-5)
    assert exported.runtime.identity == Segmenter.load(tmp_path / "exported").runtime.identity
    assert other.on_runtime(runtime).runtime.identity != first.runtime.identity


def test_an_image_unlike_the_training_images_is_refused(segmenter, tmp_path):
    for pixels, message in [
        (np.zeros((40, 40), np.uint16), "trained on uint8 images"),
        (np.zeros((40, 40, 3), np.uint8), "trained on 1 channels"),
    ]:
        tifffile.imwrite(tmp_path / "image.tif", pixels)
        with open_large(tmp_path / "image.tif") as image, pytest.raises(InputError, match=message):
            segment_blocks(segmenter, image, tmp_path / "a.tif")


def test_the_identity_changes_with_weights_scaling_and_views(segmenter):
    def described(low=10.0, seed=4, views=1):
        unet = randomise(tiny_unet(), seed=seed)
        model = with_preprocessing(unet, IntensityRange(low=[low], high=[200.0]))
        return describe_segmenter(Segmenter(model, segmenter.settings), views)

    first = described()
    keras.backend.clear_session()
    assert described() == first
    assert all(
        d["model"] != first["model"]
        for d in (described(9.0), described(seed=5), described(views=2))
    )
