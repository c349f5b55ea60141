import numpy as np
import pytest

from unetflow.imaging.errors import InputError
from unetflow.unet.mlflow_model import _load_pyfunc


@pytest.fixture
def loaded(segmenter, tmp_path):
    segmenter.save(tmp_path / "segmenter.keras")
    return _load_pyfunc(str(tmp_path / "segmenter.keras"))


def test_a_batch_is_segmented_as_its_images_are_one_by_one(loaded, segmenter, random):
    batch = random.integers(0, 256, (3, 13, 17, 1), np.uint8)
    masks = loaded.predict(batch)
    assert (masks.shape, masks.dtype) == ((3, 13, 17), np.uint8)
    assert set(np.unique(masks)) == {0, 1}
    for mask, image in zip(masks, batch, strict=True):
        np.testing.assert_array_equal(mask, segmenter.predict(image))


def test_the_parameters_that_mlflow_passes_change_nothing(loaded, random):
    batch = random.integers(0, 256, (1, 8, 8, 1), np.uint8)
    np.testing.assert_array_equal(loaded.predict(batch, params={"a": 1}), loaded.predict(batch))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="the file is not there"):
        _load_pyfunc(str(tmp_path / "absent.keras"))
