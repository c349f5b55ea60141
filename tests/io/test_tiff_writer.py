import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from tests.support.drawn_objects import TRICKY
from tests.support.images import random_pixels
from unetflow.core.errors import InputError
from unetflow.io.formats.readers import read_mask
from unetflow.io.pixel_size import PixelSize, read_pixel_size
from unetflow.io.tiff_writer import write_label_tiff

VALUES = st.sampled_from([255, 65_535, 2**31 - 1]).flatmap(
    lambda highest: hnp.arrays(
        np.int64,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=9),
        elements=st.integers(0, highest),
    )
)
SIDES = st.floats(1e-4, 1e4)
SIZES = st.none() | st.builds(PixelSize, SIDES, SIDES, st.sampled_from(["nm", "µm", "mm"]))
HIGHEST = {np.uint8: 255, np.uint16: 65_535, np.uint32: 65_536}


@given(values=VALUES, size=SIZES)
def test_all_readers_return_the_values_and_the_pixel_size(tmp_path_factory, values, size):
    path = tmp_path_factory.mktemp("labels") / "a.tif"
    write_label_tiff(path, values, size)
    for read in (tifffile.imread, imageio.imread, read_mask, lambda p: np.asarray(Image.open(p))):
        np.testing.assert_array_equal(read(path), values)
    found = read_pixel_size(path)
    if size is None:
        assert found is None
    else:
        assert (found.x, found.y) == pytest.approx((size.x, size.y), rel=1e-6)
        assert found.unit == size.unit


@pytest.mark.parametrize(
    ("highest", "dtype"),
    [
        (0, np.uint8),
        (255, np.uint8),
        (256, np.uint16),
        (65_535, np.uint16),
        (65_536, np.uint32),
        (2**32 - 1, np.uint32),
    ],
)
def test_the_type_is_the_smallest_that_holds_the_values(tmp_path, highest, dtype):
    values = np.array([[0, highest, 0]], np.uint64)
    write_label_tiff(tmp_path / "a.tif", values)
    np.testing.assert_array_equal(
        tifffile.imread(tmp_path / "a.tif"), values.astype(dtype), strict=True
    )


@pytest.mark.parametrize("unit", ["Å", "nm", "µm", "mm", "cm", "in", "m"])
@pytest.mark.parametrize("dtype", HIGHEST)
def test_every_unit_is_kept(tmp_path, unit, dtype):
    values = np.array([[HIGHEST[dtype]]], dtype)
    write_label_tiff(tmp_path / "a.tif", values, PixelSize(0.25, 0.5, unit))
    assert read_pixel_size(tmp_path / "a.tif") == PixelSize(0.25, 0.5, unit)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_imagej_finds_size_and_range_of_values(tmp_path, dtype):
    values = np.array([[0, HIGHEST[dtype]]], dtype)
    write_label_tiff(tmp_path / "a.tif", values, PixelSize(0.25, 0.5))
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        header = tiff.pages.first
        assert tiff.imagej_metadata["unit"] == "um"
        assert tiff.imagej_metadata["max"] == HIGHEST[dtype]
        assert header.tags["XResolution"].value == (4, 1)
        assert header.tags["YResolution"].value == (2, 1)
        assert header.tags["ResolutionUnit"].value == tifffile.RESUNIT.NONE
        assert header.compression == tifffile.COMPRESSION.ADOBE_DEFLATE


def test_more_objects_than_imagej_has_numbers_for_have_the_header_of_ome(tmp_path):
    values = np.array([[0, 70_000]])
    for name in ("a.tif", "b.tif"):
        write_label_tiff(tmp_path / name, values, PixelSize(0.25, 0.5, "mm"))
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        (pixels,) = (tifffile.xml2dict(tiff.ome_metadata)["OME"]["Image"]["Pixels"],)
        assert (pixels["PhysicalSizeX"], pixels["PhysicalSizeY"]) == (0.25, 0.5)
        assert pixels["PhysicalSizeXUnit"] == pixels["PhysicalSizeYUnit"] == "mm"
        header = tiff.pages.first
        assert header.tags["XResolution"].value == (40, 1)
        assert header.tags["ResolutionUnit"].value == tifffile.RESUNIT.CENTIMETER
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


def test_object_numbers_are_compressed_without_loss(tmp_path):
    numbers = np.kron(TRICKY.numbers, np.ones((50, 50), np.uint32))
    write_label_tiff(tmp_path / "a.tif", numbers)
    assert (tmp_path / "a.tif").stat().st_size < numbers.size / 10
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), numbers)


@pytest.mark.parametrize("value", [-1, 2**32])
def test_invalid_labels_are_rejected_and_the_old_file_is_kept(tmp_path, value):
    write_label_tiff(tmp_path / "a.tif", np.array([[1]]))
    with pytest.raises(InputError, match="do not fit a label"):
        write_label_tiff(tmp_path / "a.tif", np.array([[value, 0]]))
    assert tifffile.imread(tmp_path / "a.tif") == [[1]]
    assert [p.name for p in tmp_path.iterdir()] == ["a.tif"]


def test_a_label_keeps_the_size_of_its_source(tmp_path):
    tifffile.imwrite(
        tmp_path / "source.tif",
        random_pixels((8, 9)),
        imagej=True,
        resolution=(3.1, 3.1),
        metadata={"unit": "micron"},
    )
    write_label_tiff(
        tmp_path / "a.tif", np.ones((8, 9), int), read_pixel_size(tmp_path / "source.tif")
    )
    found = read_pixel_size(tmp_path / "a.tif")
    assert found.x == pytest.approx(1 / 3.1, rel=1e-6)
    assert found.unit == "µm"
