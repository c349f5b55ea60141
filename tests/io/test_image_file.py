import pickle
import zipfile

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from tests.support.large_files import write_ome_zarr
from unetflow.core.errors import InputError
from unetflow.io.file_listing import list_files
from unetflow.io.formats import tiff
from unetflow.io.image_file import ImageFile, WholeImage
from unetflow.io.pixel_size import PixelSize


@pytest.fixture
def stack(tmp_path):
    """Return a file of three images whose pixels are half a micrometre wide."""
    pixels = np.arange(3 * 5 * 7, dtype=np.uint8).reshape(3, 5, 7)
    metadata = {"unit": "um", "axes": "ZYX"}
    tifffile.imwrite(tmp_path / "a.tif", pixels, imagej=True, resolution=(2, 2), metadata=metadata)
    return tmp_path / "a.tif", pixels


def test_handle_can_be_sent_to_another_process(stack, tmp_path):
    path, pixels = stack
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(path, "a.tif")
    for file in (path, list_files(tmp_path / "a.zip").files["a.tif"]):
        image = pickle.loads(pickle.dumps(ImageFile(file, page=2)))  # noqa: S301 -- its own bytes
        np.testing.assert_array_equal(image.read(), pixels[2][:, :, None])
        assert image.open().pixel_size == PixelSize(0.5, 0.5)
        with pytest.raises(InputError, match="more than the allowed 10"):
            ImageFile(file, 10, 2).read()


def test_wrong_pixel_size_does_not_prevent_reading(tmp_path):
    header = '<OME><Image><Pixels PhysicalSizeX="wide" PhysicalSizeY="1"/></Image></OME>'
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 4), np.uint8), description=header)
    image = ImageFile(tmp_path / "a.tif")
    opened = image.open()
    assert opened.pixel_size is None
    assert opened.pixels.shape == (4, 4, 1)


def test_tiff_is_large_from_a_number_of_pixels(tmp_path, stack):
    pixels = np.arange(12 * 20, dtype=np.uint8).reshape(12, 20)
    tifffile.imwrite(tmp_path / "b.tif", pixels)
    image = ImageFile(tmp_path / "b.tif")
    assert not image.is_large(12 * 20 + 1)
    np.testing.assert_array_equal(image.open(12 * 20 + 1).pixels[:, :, 0], pixels)
    assert image.is_large(12 * 20)
    with image.open(12 * 20) as opened:
        np.testing.assert_array_equal(opened.read((3, 5), (2, 9))[:, :, 0], pixels[3:5, 2:9])
    Image.fromarray(pixels).save(tmp_path / "b.png")
    for other in (ImageFile(stack[0], page=1), ImageFile(tmp_path / "b.png")):
        assert not other.is_large(1)
        assert isinstance(other.open(1), WholeImage)
    assert not ImageFile(tmp_path / "nowhere.tif").is_large(1)
    with pytest.raises(InputError, match="does not exist"):
        ImageFile(tmp_path / "nowhere.tif").open(1)


def test_a_file_is_opened_once(tmp_path, stack, monkeypatch):
    opened = []
    whole = tiff._SingleFile
    monkeypatch.setattr(tiff, "_SingleFile", lambda file: opened.append(file) or whole(file))
    tifffile.imwrite(tmp_path / "b.tif", np.zeros((12, 20), np.uint8), resolution=(300, 300))
    image = ImageFile(tmp_path / "b.tif")
    assert image.open(12 * 20 + 1).pixel_size == image.open().pixel_size
    with image.open(1) as windows:
        assert windows.pixel_size == image.open().pixel_size
    ImageFile(stack[0], page=2).open()
    assert opened == [image.file] * 4 + [stack[0]]


def test_a_zarr_folder_is_always_a_large_image(tmp_path):
    pixels = np.arange(12 * 20, dtype=np.uint8).reshape(12, 20)
    zarr.create_array(str(tmp_path / "b.zarr"), data=pixels, chunks=(5, 5))
    image = ImageFile(tmp_path / "b.zarr")
    with image.open(10**9) as opened:
        assert opened.shape == (12, 20, 1)
        assert opened.pixel_size is None
    assert image.is_large(10**9)
    (tmp_path / "b.zarr/zarr.json").unlink()
    with pytest.raises(InputError, match=r"b\.zarr: it is not a Zarr array"):
        image.open(1)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_pixel_size_of_an_ome_zarr_image_is_read(tmp_path, version):
    pixels = np.zeros((40, 40), np.uint8)
    for number, (unit, expected) in enumerate(
        [
            ("micrometer", PixelSize(0.5, 0.25)),
            ("angstrom", PixelSize(0.5, 0.25, "Å")),
            (None, None),
        ]
    ):
        path = tmp_path / f"{number}.zarr"
        write_ome_zarr(path, pixels, version, unit=unit, scale=(0.25, 0.5))
        assert ImageFile(path).open(1).pixel_size == expected
    group = zarr.open_group(str(tmp_path / "0.zarr"), mode="a")
    group.attrs.update({"ome": {"multiscales": [{"axes": 3}]}})
    with pytest.raises(InputError, match="not a Zarr array or an OME-Zarr image"):
        ImageFile(tmp_path / "0.zarr").open(1)


def test_a_large_tiff_without_windows_is_read_whole_if_it_may_be(tmp_path):
    indices = Image.fromarray(np.arange(12 * 20, dtype=np.uint8).reshape(12, 20)).convert("P")
    indices.save(tmp_path / "b.tif")
    assert not ImageFile(tmp_path / "b.tif").is_large(1)
    assert ImageFile(tmp_path / "b.tif").open(1).pixels.shape == (12, 20, 3)
    with pytest.raises(InputError, match="it has a palette"):
        ImageFile(tmp_path / "b.tif", max_pixels=100).open(1)
