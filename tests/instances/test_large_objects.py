"""Objects of large images, read part by part, held against the same objects in memory."""

from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import regionprops

from tests.support.drawn_objects import NAMES, OBJECTS, TRICKY, draw
from tests.support.images import random_pixels
from tests.support.large_files import in_memory
from unetflow.core.errors import InputError
from unetflow.instances import large_measurements, large_objects, shapes
from unetflow.instances.contours import trace_outlines
from unetflow.instances.export_formats import write_coco, write_geojson, write_imagej_rois
from unetflow.instances.huge_outlines import trace_strips
from unetflow.instances.large_measurements import measure_large_objects
from unetflow.instances.large_objects import LargeObjects
from unetflow.instances.objects import Objects, find_objects, measure_objects
from unetflow.io.image_file import open_large
from unetflow.io.pixel_size import PixelSize
from unetflow.io.tiff_writer import write_label_tiff, write_tiff


@contextmanager
def limits(cell, overhang, max_window, strip=7):
    """Let windows be so small that all kinds of objects occur in a small image."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large_objects, "CELL", cell)
        patch.setattr(large_objects, "OVERHANG", overhang)
        for module in (large_objects, large_measurements):
            patch.setattr(module, "MAX_WINDOW", max_window)
        patch.setattr(shapes, "_STRIP", strip)
        yield


def as_large(objects, path):
    write_label_tiff(path, objects.numbers)
    boxes = [region.bbox for region in regionprops(objects.numbers)]
    return LargeObjects(
        path, objects.numbers.shape, objects.classes, np.array(boxes, np.int64).reshape(-1, 4)
    )


def random_objects(seed, shape=(40, 50), share=0.55):
    random = np.random.default_rng(seed)
    label = (random.random(shape) < share).astype(np.uint8)
    label[:, shape[1] // 2 :] *= 2
    return find_objects(label)


LIMITS = [(1024, 256, 2**22), (8, 3, 10**6), (8, 3, 1), (5, 0, 40)]
"""All in one window; many windows; objects that are huge; some of each."""


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("seed", range(3))
def test_files_for_other_programs_are_byte_for_byte_the_same(tmp_path, limit, seed):
    objects = random_objects(seed)
    large = as_large(objects, tmp_path / "numbers.tif")
    for name, write in [("geojson", write_geojson), ("imagej", write_imagej_rois)]:
        write(tmp_path / f"{name}_whole", objects, NAMES)
        with limits(*limit):
            write(tmp_path / f"{name}_large", large, NAMES)
        assert (tmp_path / f"{name}_large").read_bytes() == (
            tmp_path / f"{name}_whole"
        ).read_bytes()
    write_coco(tmp_path / "coco_whole", [("a.tif", objects), ("b.tif", objects)], NAMES)
    with limits(*limit):
        write_coco(tmp_path / "coco_large", [("a.tif", large), ("b.tif", objects)], NAMES)
    assert (tmp_path / "coco_large").read_bytes() == (tmp_path / "coco_whole").read_bytes()


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("channels", [1, 3])
def test_measurements_are_those_of_the_whole_image(tmp_path, limit, channels):
    objects = random_objects(channels, (60, 41))
    pixels = random_pixels((60, 41, channels), np.uint16)
    image = in_memory(pixels)
    image.pixel_size = PixelSize(0.5, 0.5)
    large = as_large(objects, tmp_path / "numbers.tif")
    expected = measure_objects(objects, pixels, "a", NAMES, image.pixel_size, "too dark")
    with limits(*limit):
        found = measure_large_objects(large, image, "a", NAMES, "too dark")
    pd.testing.assert_frame_equal(found, expected, rtol=1e-12)


def test_an_image_without_objects_has_an_empty_table_and_empty_files(tmp_path):
    objects = find_objects(np.zeros((9, 9), np.uint8))
    large = as_large(objects, tmp_path / "numbers.tif")
    pixels = random_pixels((9, 9, 2), np.uint16)
    expected = measure_objects(objects, pixels, "a", NAMES)
    found = measure_large_objects(large, in_memory(pixels), "a", NAMES)
    pd.testing.assert_frame_equal(found, expected)
    write_geojson(tmp_path / "a.geojson", large, NAMES)
    assert '"features":[]' in (tmp_path / "a.geojson").read_text()


@given(OBJECTS, st.integers(1, 20))
def test_outlines_found_strip_by_strip_are_those_of_the_whole_object(objects, strip):
    for number, polygons in trace_outlines(objects.numbers).items():
        mask = objects.numbers == number
        found = trace_strips(lambda rows, cols: mask[slice(*rows), slice(*cols)], mask.shape, strip)  # noqa: B023 - called at once
        assert [[ring.tolist() for ring in polygon] for polygon in found] == [
            [ring.tolist() for ring in polygon] for polygon in polygons
        ]


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.integers(1, 200), st.floats(0.3, 0.95))
def test_outlines_of_ragged_objects_do_not_depend_on_the_strips(seed, strip, share):
    mask = np.random.default_rng(seed).random((23, 31)) < share
    mask[0, 0] = True
    (polygons,) = trace_outlines(mask.astype(np.uint8)).values()
    found = trace_strips(lambda rows, cols: mask[slice(*rows), slice(*cols)], mask.shape, strip)
    assert len(found) == len(polygons)
    for one, other in zip(found, polygons, strict=True):
        assert [ring.tolist() for ring in one] == [ring.tolist() for ring in other]


def test_runs_that_continue_in_the_next_column_are_one_run(tmp_path):
    objects = find_objects(draw("11.", "111", "11."))
    with limits(1, 0, 1, strip=3):
        write_coco(tmp_path / "a", [("a", as_large(objects, tmp_path / "n.tif"))], NAMES)
    write_coco(tmp_path / "b", [("a", objects)], NAMES)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_windows_hold_each_object_once_with_all_its_pixels(tmp_path):
    objects = random_objects(5)
    large = as_large(objects, tmp_path / "numbers.tif")
    areas = np.bincount(objects.numbers.ravel())
    with limits(8, 3, 60):
        seen = [
            (number, (window.numbers == place).sum())
            for window in large.windows()
            for place, number in enumerate(window.members, start=1)
        ]
        assert len(large.huge) > 0
        numbers = sorted([number for number, _ in seen] + large.huge.tolist())
    assert numbers == list(range(1, len(areas)))
    assert all(area == areas[number] for number, area in seen)


def test_objects_of_an_image_larger_than_16_bits_count_are_read_exactly(tmp_path):
    numbers = np.arange(1, 70_001, dtype=np.uint32).reshape(200, 350)
    write_label_tiff(tmp_path / "a.tif", numbers)
    with open_large(tmp_path / "a.tif") as file:
        np.testing.assert_array_equal(file.read_numbers((3, 199), (7, 350)), numbers[3:199, 7:350])


def test_a_file_that_holds_no_numbers_is_refused(tmp_path):
    large = as_large(TRICKY, tmp_path / "numbers.tif")
    write_tiff(tmp_path / "numbers.tif", np.zeros((6, 6), np.float32))
    with pytest.raises(InputError, match="does not number objects"):
        write_geojson(tmp_path / "a.geojson", large, NAMES)
    assert not (tmp_path / "a.geojson").exists()


def test_a_class_without_a_name_is_refused(tmp_path):
    with pytest.raises(InputError, match="Give one name for each class"):
        as_large(TRICKY, tmp_path / "n.tif").name_classes(["background"])


def test_objects_in_memory_are_one_window():
    objects = Objects(np.array([[0, 1], [2, 2]], np.uint32), np.ones(2, np.uint8))
    (window,) = objects.windows()
    assert (window.rows, window.columns, window.members.tolist()) == ((0, 2), (0, 2), [1, 2])
    assert window.numbers is objects.numbers
