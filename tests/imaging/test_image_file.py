import pickle
import zipfile

import numpy as np
import pytest
import tifffile

from unetflow.imaging.errors import InputError
from unetflow.imaging.image_file import ImageFile
from unetflow.imaging.objects import PixelSize
from unetflow.imaging.trees import list_tree


@pytest.fixture
def stack(tmp_path):
    """Return a file of three images whose pixels are half a micrometre wide."""
    pixels = np.arange(3 * 5 * 7, dtype=np.uint8).reshape(3, 5, 7)
    metadata = {"unit": "um", "axes": "ZYX"}
    tifffile.imwrite(tmp_path / "a.tif", pixels, imagej=True, resolution=(2, 2), metadata=metadata)
    return tmp_path / "a.tif", pixels


def test_it_is_read_in_another_process_as_in_this_one(stack, tmp_path):
    path, pixels = stack
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(path, "a.tif")
    for file in (path, list_tree(tmp_path / "a.zip").files["a.tif"]):
        image = pickle.loads(pickle.dumps(ImageFile(file, page=2)))  # noqa: S301 -- its own bytes
        np.testing.assert_array_equal(image.read(), pixels[2][:, :, None])
        assert image.read_pixel_size() == PixelSize(0.5, 0.5)
        with pytest.raises(InputError, match="more than the allowed 10"):
            ImageFile(file, 10, 2).read()


def test_what_a_file_says_wrongly_of_its_pixels_does_not_keep_it_from_being_read(tmp_path):
    header = '<OME><Image><Pixels PhysicalSizeX="wide" PhysicalSizeY="1"/></Image></OME>'
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 4), np.uint8), description=header)
    image = ImageFile(tmp_path / "a.tif")
    assert image.read_pixel_size() is None
    assert image.read().shape == (4, 4, 1)
