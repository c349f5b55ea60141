import base64
import io
import json

import imagecodecs
import numpy as np
import pandas as pd
import pytest
import tifffile

from tests.support.networks import draw, make_segmenter
from unetflow.config.mask_export import MaskExportParameters
from unetflow.core.errors import InputError
from unetflow.tracking.pyfunc_model import PyfuncSegmenter, RefusedImages, _load_pyfunc


@pytest.fixture(scope="module")
def loaded(segmenter, tmp_path_factory):
    path = tmp_path_factory.mktemp("pyfunc") / "segmenter.keras"
    segmenter.save(path)
    return _load_pyfunc(str(path))


def in_base64(pixels):
    file = io.BytesIO()
    tifffile.imwrite(file, pixels)
    return base64.b64encode(file.getvalue()).decode()


def masks_in(texts):
    return [imagecodecs.png_decode(base64.b64decode(text)) for text in texts]


def test_a_batch_is_segmented_as_its_images_are_one_by_one(loaded, segmenter, random):
    batch = random.integers(0, 256, (3, 13, 17, 1), np.uint8)
    masks = loaded.predict(batch)
    assert (masks.shape, masks.dtype) == ((3, 13, 17), np.uint8)
    assert set(np.unique(masks)) == {0, 1}
    for mask, image in zip(masks, batch, strict=True):
        np.testing.assert_array_equal(mask, segmenter.predict(image))


@pytest.mark.parametrize("options", [{"dtype": "uint16"}, {"channels": 3, "classes": 4}])
def test_files_of_several_sizes_are_segmented_as_their_images(options, random):
    segmenter = make_segmenter(**options)
    images = [draw(random, segmenter, size) for size in ((9, 14), (40, 33))]
    texts = [in_base64(image) for image in images]
    for given in (
        texts,
        np.array(texts),
        pd.DataFrame({"image": texts}),
        {"image": np.array(texts)},
    ):
        found = masks_in(PyfuncSegmenter(segmenter).predict(given))
        assert len(found) == 2
        for mask, image in zip(found, images, strict=True):
            np.testing.assert_array_equal(mask, segmenter.predict(image), strict=True)


def test_numbers_out_of_json_are_those_of_the_image(loaded, random):
    batch = random.integers(0, 256, (2, 8, 9, 1), np.uint8)
    expected = loaded.predict(batch)
    for received in (batch.astype(np.int64), batch.astype(np.float64)):
        np.testing.assert_array_equal(loaded.predict(received), expected)
        np.testing.assert_array_equal(loaded.predict({"image": received}), expected)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (np.zeros((5, 5, 1), np.uint8), "an array of shape (5, 5, 1): it holds no images. Send an"),
        (np.zeros((0, 5, 5, 1), np.uint8), "an array of shape (0, 5, 5, 1): it holds no images"),
        (np.zeros((1, 5, 5, 3), np.uint8), "image of shape (5, 5, 3): the model was trained on 1"),
        (np.zeros((1, 5, 5, 1), np.uint16), "image of type uint16: the model was trained on uint8"),
        (np.zeros((1, 5, 5, 1), np.bool_), "image of type bool: the model was trained on uint8"),
        (np.full((1, 5, 5, 1), 256), "the array: 25 of its numbers, such as 256, are not uint8"),
        ([], "the input: it holds no images"),
        (None, "image 1 of 1: it is not a text but NoneType"),
        (pd.DataFrame({"a": [1], "b": [2]}), "the input: its columns are a, b. Give the images"),
        (
            [in_base64(np.zeros((5, 5), "u1")), "x"],
            "image 2 of 2: it is not base64",
        ),
        (
            [in_base64(np.zeros((5, 5), "u2"))],
            "image 1 of 1: image of type uint16: the model was trained on uint8 images",
        ),
    ],
)
def test_what_cannot_be_segmented_is_refused_in_one_sentence(loaded, given, told):
    with pytest.raises(RefusedImages) as caught:
        loaded.predict(given)
    refusal = caught.value
    assert refusal.get_http_status_code() == 400
    assert refusal.message.startswith(told)
    # MLflow's server adds all that was sent.
    refusal.message = "much more"
    answer = json.loads(refusal.serialize_as_json())
    assert answer.keys() == {"error_code", "message"}
    assert answer["message"].startswith(told)


@pytest.mark.parametrize("params", [None, {}, {"result": "classes"}])
def test_without_parameters_there_are_class_indices(loaded, random, params):
    batch = random.integers(0, 256, (1, 8, 8, 1), np.uint8)
    found = loaded.predict(batch, params=params)
    np.testing.assert_array_equal(found, loaded.predict(batch), strict=True)


@pytest.mark.parametrize("options", [{}, {"classes": 4}, {"instances": "both"}])
def test_objects_on_request_are_those_of_an_export(options, random):
    segmenter = make_segmenter(seed=1, **options)
    images = [draw(random, segmenter, (40, 33)) for _ in range(2)]
    model, params = PyfuncSegmenter(segmenter), {"result": "objects"}
    batch = model.predict(np.stack(images), params=params)
    files = masks_in(model.predict([in_base64(image) for image in images], params=params))
    rule = segmenter.postprocessing.with_objects(MaskExportParameters().objects)
    for image, numbers, in_file in zip(images, batch, files, strict=True):
        expected = rule.segment(segmenter.predict_outputs(image)).objects.numbers
        assert expected.max() > 1
        np.testing.assert_array_equal(numbers, expected, strict=True)
        np.testing.assert_array_equal(in_file, expected.astype(np.uint16), strict=True)


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"results": "objects"}, "params: there is no parameter 'results'. Use 'result' alone."),
        ({"result": "cells"}, "params.result: 'cells' is unknown. Use one of classes, objects."),
        ({"result": ["objects"]}, "params.result: '['objects']' is unknown."),
    ],
)
def test_other_parameters_are_refused(loaded, params, told):
    with pytest.raises(RefusedImages) as caught:
        loaded.predict(np.zeros((1, 5, 5, 1), np.uint8), params=params)
    assert caught.value.get_http_status_code() == 400
    assert caught.value.message.startswith(told)


def test_more_objects_than_a_file_can_number_are_refused(segmenter, monkeypatch):
    monkeypatch.setattr("unetflow.io.base64_images._MAX_PNG", 1)
    text = in_base64(np.random.default_rng(0).integers(0, 256, (30, 30), np.uint8))
    with pytest.raises(RefusedImages, match=r"image 1 of 1: its result: it has \d+ objects"):
        PyfuncSegmenter(segmenter).predict([text], params={"result": "objects"})


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="the file is not there"):
        _load_pyfunc(str(tmp_path / "absent.keras"))
