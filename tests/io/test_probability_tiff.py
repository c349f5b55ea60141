import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from unetflow.io.formats.readers import read_image
from unetflow.io.pixel_size import PixelSize, read_pixel_size
from unetflow.io.tiff_writer import write_label_tiff, write_probability_tiff

PROBABILITIES = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=3, max_dims=3, max_side=6),
    elements=st.floats(0, 1, width=32),
)


@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif"])
@given(probabilities=PROBABILITIES, size=st.none() | st.just(PixelSize(0.25, 0.5)))
def test_all_classes_and_the_pixel_size_are_read_back(tmp_path_factory, name, probabilities, size):
    path = tmp_path_factory.mktemp("probabilities") / name
    write_probability_tiff(path, probabilities, size)
    np.testing.assert_array_equal(read_image(path), probabilities, strict=True)
    planes = np.moveaxis(probabilities, 2, 0)
    np.testing.assert_array_equal(tifffile.imread(path).reshape(planes.shape), planes)
    assert read_pixel_size(path) == size


def test_the_header_is_that_of_imagej_unless_the_name_promises_ome(tmp_path):
    for write, values in (
        (write_label_tiff, np.ones((4, 5), np.uint8)),
        (write_probability_tiff, np.full((4, 5, 2), 0.5, np.float32)),
    ):
        for name in ("a.tif", "a.ome.tif", "A.OME.TIFF"):
            write(tmp_path / name, values, PixelSize(0.25, 0.5))
            with tifffile.TiffFile(tmp_path / name) as tiff:
                is_ome = name != "a.tif"
                assert (tiff.is_imagej, tiff.is_ome) == (not is_ome, is_ome)
                assert tiff.pages.first.compression == tifffile.COMPRESSION.ADOBE_DEFLATE
                if is_ome:
                    pixels = tifffile.xml2dict(tiff.ome_metadata)["OME"]["Image"]["Pixels"]
                    assert pixels["PhysicalSizeX"] == 0.25
                else:
                    assert tiff.imagej_metadata["max"] == 1.0
    assert (tmp_path / "a.ome.tif").read_bytes() == (tmp_path / "A.OME.TIFF").read_bytes()
