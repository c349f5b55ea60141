import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from pandas.testing import assert_frame_equal

from tests.support.drawn_objects import NAMES, OBJECTS, draw
from tests.support.images import random_pixels
from unetflow.core.errors import InputError
from unetflow.instances.objects import COLUMNS, Objects, find_objects, measure_objects
from unetflow.io.pixel_size import PixelSize

EMPTY = Objects(np.zeros((5, 6), np.uint32), np.zeros(0, np.uint8))


def image_for(objects, channels=2, dtype=np.uint16):
    return random_pixels((*objects.numbers.shape, channels), dtype)


@given(OBJECTS)
def test_measurements_equal_those_of_single_masks(objects):
    image = image_for(objects)
    table = measure_objects(objects, image, "a.png", NAMES)
    assert table["object"].tolist() == list(range(1, len(objects.classes) + 1))
    for row in table.to_dict("records"):
        rows, columns = np.nonzero(objects.numbers == row["object"])
        assert row["class"] == NAMES[objects.classes[row["object"] - 1]]
        assert row["area_px"] == len(rows)
        assert row["centroid_x_px"] == pytest.approx(columns.mean() + 0.5)
        assert row["centroid_y_px"] == pytest.approx(rows.mean() + 0.5)
        assert (row["box_left_px"], row["box_top_px"]) == (columns.min(), rows.min())
        assert row["box_width_px"] == columns.max() + 1 - columns.min()
        assert row["box_height_px"] == rows.max() + 1 - rows.min()
        for channel in (0, 1):
            expected = image[rows, columns, channel].mean()
            assert row[f"mean_channel_{channel + 1}"] == pytest.approx(expected)


def test_a_square_by_hand():
    objects = find_objects(draw("....", ".222", ".222", ".222"))
    image = np.full((4, 4, 1), 7, np.uint8)
    size = PixelSize(500, 500, "nm")
    (row,) = measure_objects(objects, image, "a.png", NAMES, size, "far").to_dict("records")
    assert np.isnan(row.pop("confidence"))
    assert row == {
        "image": "a.png",
        "object": 1,
        "class": "cell",
        "area_px": 9,
        "centroid_x_px": 2.5,
        "centroid_y_px": 2.5,
        "box_left_px": 1,
        "box_top_px": 1,
        "box_width_px": 3,
        "box_height_px": 3,
        "perimeter_px": 8,  # from the middle of each outer pixel to that of the next
        "area_um2": 2.25,
        "centroid_x_um": 1.25,
        "centroid_y_um": 1.25,
        "box_left_um": 0.5,
        "box_top_um": 0.5,
        "box_width_um": 1.5,
        "box_height_um": 1.5,
        "perimeter_um": 4,
        "mean_channel_1": 7,
        "unlike_training": "far",
    }


def test_pixels_that_are_not_square_have_two_scales_and_no_perimeter_in_micrometres():
    objects = find_objects(draw("....", "..11"))
    table = measure_objects(objects, image_for(objects), "a.png", NAMES, PixelSize(2, 3, "mm"))
    (row,) = table.to_dict("records")
    assert row["area_um2"] == pytest.approx(2 * 6e6)
    assert (row["centroid_x_um"], row["centroid_y_um"]) == pytest.approx((6000, 4500))
    assert (row["box_left_um"], row["box_top_um"]) == pytest.approx((4000, 3000))
    assert (row["box_width_um"], row["box_height_um"]) == pytest.approx((4000, 3000))
    assert np.isnan(row["perimeter_um"])


def test_micrometres_are_missing_without_a_pixel_size():
    objects = find_objects(draw("1.2"))
    table = measure_objects(objects, image_for(objects), "a.png", NAMES)
    micrometres = table[[name for name in COLUMNS if "_um" in name]]
    assert micrometres.shape == (2, 8)
    assert micrometres.isna().all(axis=None)
    assert table["unlike_training"].tolist() == ["", ""]


@pytest.mark.parametrize("objects", [EMPTY, find_objects(draw("1.2"))])
@pytest.mark.parametrize("size", [None, PixelSize(1, 1)])
def test_columns_and_types_are_the_same_with_and_without_objects(objects, size):
    table = measure_objects(objects, image_for(objects, channels=3), "a.png", NAMES, size)
    channels = {f"mean_channel_{n}": "float64" for n in (1, 2, 3)}
    assert {str(name): str(dtype) for name, dtype in table.dtypes.items()} == COLUMNS | channels
    assert list(table)[-4:] == [*channels, "unlike_training"]
    assert len(table) == len(objects.classes)


@pytest.mark.parametrize("objects", [EMPTY, find_objects(draw("1.2", "#11"))])
def test_parquet_and_csv_give_the_table_back(objects):
    table = measure_objects(objects, image_for(objects), "a.png", NAMES, PixelSize(0.3, 0.3))
    parquet = io.BytesIO()
    table.to_parquet(parquet, index=False)
    assert_frame_equal(pd.read_parquet(parquet), table)
    text = table.to_csv(index=False)
    kinds, unknown = table.dtypes.to_dict(), {"confidence": [""]}
    read = pd.read_csv(io.StringIO(text), dtype=kinds, keep_default_na=False, na_values=unknown)
    assert_frame_equal(read, table)


def test_a_class_without_a_name_is_an_error():
    objects = find_objects(draw("2"))
    with pytest.raises(InputError, match="objects of class 2, but only 2 names"):
        measure_objects(objects, image_for(objects), "a.png", NAMES[:2])
