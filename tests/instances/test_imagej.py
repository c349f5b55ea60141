import zipfile

import numpy as np
import pytest
import roifile
from hypothesis import given

from tests.support.drawn_objects import NAMES, OBJECTS, TRICKY, fill
from unetflow.core.errors import InputError
from unetflow.instances.export_formats import write_imagej_rois
from unetflow.instances.objects import Objects
from unetflow.visualization.overlays import CLASS_COLOURS


def read(path):
    """Return the regions and the names that ImageJ lists, which are those of the archive."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        return [roifile.ImagejRoi.frombytes(archive.read(name)) for name in names], names


def pixels_of(region, shape):
    rings = [np.asarray(ring) for ring in region.coordinates(multi=True)]
    return fill([r[:-1] if (r[0] == r[-1]).all() else r for r in rings], shape)


@given(objects=OBJECTS)
def test_regions_read_by_roifile_give_back_the_pixels(tmp_path_factory, objects):
    path = tmp_path_factory.mktemp("rois") / "a.zip"
    write_imagej_rois(path, objects, NAMES)
    regions, _ = read(path)
    assert len(regions) == len(objects.classes)
    for number, region in enumerate(regions, start=1):
        mask = objects.numbers == number
        np.testing.assert_array_equal(pixels_of(region, mask.shape), mask)
        rows, columns = np.nonzero(mask)
        assert (region.top, region.bottom) == (rows.min(), rows.max() + 1)
        assert (region.left, region.right) == (columns.min(), columns.max() + 1)


def test_regions_have_names_types_and_the_colours_of_their_classes(tmp_path):
    write_imagej_rois(tmp_path / "a.zip", TRICKY, NAMES)
    regions, names = read(tmp_path / "a.zip")
    expected = ["nucleus 1", "cell 2", "nucleus 3", "nucleus 4", "cell 5"]
    assert [region.name for region in regions] == expected
    assert names == [f"{name}.roi" for name in expected]
    traced, composite = roifile.ROI_TYPE.TRACED, roifile.ROI_TYPE.RECT
    # The first has holes, the fourth two parts that touch at a corner.
    assert [r.roitype for r in regions] == [composite, traced, traced, composite, traced]
    assert [r.composite for r in regions] == [True, False, False, True, False]
    assert regions[1].stroke_color == bytes([255, *CLASS_COLOURS[1]])
    assert len(roifile.roiread(tmp_path / "a.zip")) == 5


def test_numbers_have_as_many_digits_as_the_last_and_names_no_slash(tmp_path):
    numbers = np.arange(1, 11, dtype=np.uint32)[np.newaxis]
    objects = Objects(numbers, np.ones(10, np.uint8))
    write_imagej_rois(tmp_path / "a.zip", objects, ["", "../up\N{MATHEMATICAL SCRIPT CAPITAL A}"])
    _, names = read(tmp_path / "a.zip")
    assert (names[0], names[-1]) == ("___up_ 01.roi", "___up_ 10.roi")


def test_coordinates_beyond_two_bytes_are_kept(tmp_path):
    numbers = np.zeros((2, 70_002), np.uint32)
    numbers[0, 50_000:50_003] = 1
    numbers[1, 70_000:] = 2
    write_imagej_rois(tmp_path / "a.zip", Objects(numbers, np.ones(2, np.uint8)), NAMES)
    regions, _ = read(tmp_path / "a.zip")
    for number, region in enumerate(regions, start=1):
        np.testing.assert_array_equal(pixels_of(region, numbers.shape), numbers == number)


def test_no_objects_are_an_empty_archive_and_the_same_objects_the_same_bytes(tmp_path):
    empty = Objects(np.zeros((4, 5), np.uint32), np.zeros(0, np.uint8))
    write_imagej_rois(tmp_path / "a.zip", empty, NAMES)
    assert read(tmp_path / "a.zip") == ([], [])
    for name in ("a.zip", "b.zip"):
        write_imagej_rois(tmp_path / name, TRICKY, NAMES)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_a_class_without_a_name_leaves_the_old_file(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"old")
    with pytest.raises(InputError, match="1 names"):
        write_imagej_rois(tmp_path / "a.zip", TRICKY, ["background"])
    assert (tmp_path / "a.zip").read_bytes() == b"old"
