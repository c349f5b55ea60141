import numpy as np
import pytest
import tifffile

from tests.support.images import random_pixels
from tests.support.tiff_files import pack
from unetflow.core.errors import InputError
from unetflow.io.pixel_size import PixelSize, read_pixel_size

PIXELS = random_pixels((6, 7))


def write(folder, **options):
    path = folder / "a.tif"
    tifffile.imwrite(path, PIXELS, **{"photometric": "minisblack", "metadata": None} | options)
    return path


def write_ome_header(folder, attributes, before="", after=""):
    header = (
        f'{before}<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">{after}'
        '<Image ID="Image:0"><Pixels DimensionOrder="XYZCT" ID="Pixels:0" SizeC="1" SizeT="1" '
        f'SizeX="7" SizeY="6" SizeZ="1" Type="uint8" {attributes}><TiffData/></Pixels></Image>'
        "</OME>"
    )
    return write(folder, description=header.encode())


@pytest.mark.parametrize(
    ("resolution", "unit", "size"),
    [
        ((400, 200), "CENTIMETER", PixelSize(1 / 400, 1 / 200, "cm")),
        ((300, 300), "INCH", PixelSize(1 / 300, 1 / 300, "in")),
        ((2.5, 2.5), "NONE", None),  # of what is not said
        ((72, 72), "INCH", None),
        ((96, 96), "INCH", None),
        ((72 / 2.54, 72 / 2.54), "CENTIMETER", None),
        ((1, 1), "INCH", None),
        ((1, 1), "CENTIMETER", None),
        ((0, 0), "CENTIMETER", None),
    ],
)
def test_resolution_is_read_with_its_unit_and_that_of_screens_is_ignored(
    tmp_path, resolution, unit, size
):
    path = write(tmp_path, resolution=resolution, resolutionunit=unit)
    assert read_pixel_size(path) == size


def test_file_without_resolution_has_no_pixel_size(tmp_path):
    assert read_pixel_size(write(tmp_path)) is None


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("micron", "µm"),
        ("um", "µm"),
        ("\\u00B5m", "µm"),
        ("\\u03BCm", "µm"),
        ("nm", "nm"),
        ("mm", "mm"),
        ("inch", "in"),
        ("\\u00C5", "Å"),
        ("A", "Å"),
    ],
)
def test_the_unit_of_imagej_is_that_of_the_resolution(tmp_path, name, unit):
    path = write(
        tmp_path,
        description=f"ImageJ=1.54f\nunit={name}\nmin=0.0\n",
        resolution=(4, 2),
        resolutionunit="NONE",
    )
    assert read_pixel_size(path) == PixelSize(0.25, 0.5, unit)


@pytest.mark.parametrize("name", ["pixel", "", "furlong"])
def test_units_of_imagej_other_than_lengths_are_ignored(tmp_path, name):
    path = write(
        tmp_path,
        description=f"ImageJ=1.54f\nunit={name}\n",
        resolution=(4, 2),
        resolutionunit="NONE",
    )
    assert read_pixel_size(path) is None


def test_imagej_file_without_resolution_has_no_pixel_size(tmp_path):
    path = write(tmp_path, description="ImageJ=1.54f\nunit=micron\n", resolution=(0, 0))
    assert read_pixel_size(path) is None


@pytest.mark.parametrize(
    ("attributes", "size"),
    [
        ('PhysicalSizeX="0.25" PhysicalSizeY="0.5"', PixelSize(0.25, 0.5, "µm")),
        (
            'PhysicalSizeX="2" PhysicalSizeXUnit="nm" PhysicalSizeY="3" PhysicalSizeYUnit="nm"',
            PixelSize(2, 3, "nm"),
        ),
        (
            'PhysicalSizeX="2" PhysicalSizeXUnit="pixel" PhysicalSizeY="3" '
            'PhysicalSizeYUnit="pixel"',
            None,
        ),
        ('PhysicalSizeX="2" PhysicalSizeXUnit="nm" PhysicalSizeY="3"', None),
        ('PhysicalSizeX="2"', None),
        ('PhysicalSizeX="INF" PhysicalSizeY="1"', None),
        ("", None),
    ],
)
def test_the_physical_size_of_ome_has_micrometres_unless_it_says_another_unit(
    tmp_path, attributes, size
):
    assert read_pixel_size(write_ome_header(tmp_path, attributes)) == size


def test_entities_are_not_expanded(tmp_path):
    path = write_ome_header(
        tmp_path,
        'PhysicalSizeX="2" PhysicalSizeY="&two;"',
        before='<?xml version="1.0"?><!DOCTYPE OME [<!ENTITY two "2">]>',
    )
    assert read_pixel_size(path) is None


def test_comments_in_the_header_of_ome_are_ignored(tmp_path):
    attributes = 'PhysicalSizeX="2" PhysicalSizeY="2"'
    path = write_ome_header(tmp_path, attributes, after="<!-- made\nby hand -->")
    assert read_pixel_size(path) == PixelSize(2, 2)


def test_packed_files_are_read_too(tmp_path):
    path = write(tmp_path, resolution=(400, 400), resolutionunit="CENTIMETER")
    assert read_pixel_size(pack(path)) == PixelSize(1 / 400, 1 / 400, "cm")


def test_other_formats_have_no_size(tmp_path):
    assert read_pixel_size(tmp_path / "a.png") is None


def test_damaged_and_missing_files_are_named(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"II*\0 and then nothing")
    with pytest.raises(InputError, match=r"a\.tif: the file cannot be decoded"):
        read_pixel_size(tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"b\.tif: the file does not exist"):
        read_pixel_size(tmp_path / "b.tif")


def test_sizes_are_converted_to_other_units():
    size = PixelSize(1, 2, "in").in_unit("mm")
    assert (size.x, size.y, size.unit) == pytest.approx((25.4, 50.8, "mm"))
    assert PixelSize(0.1, 0.3).in_unit("µm") == PixelSize(0.1, 0.3)


@pytest.mark.parametrize(
    "wrong", [(0, 1, "µm"), (1, -1, "µm"), (np.inf, 1, "µm"), (np.nan, 1, "µm"), (1, 1, "pixel")]
)
def test_invalid_sizes_are_rejected(wrong):
    with pytest.raises(InputError, match="pixel size"):
        PixelSize(*wrong)
