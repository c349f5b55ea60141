import io
import math

import numpy as np
import pandas as pd
import pytest

from tests.support.drawn_objects import draw
from unetflow.instances.image_table import (
    describe_counts,
    image_columns,
    summarise_image,
    tabulate_images,
)
from unetflow.instances.objects import find_objects, measure_objects
from unetflow.io.pixel_size import PixelSize

TWO = ["background", "cell"]
THREE = ["background", "cell", "cell wall"]


def summarise(label, classes, size=None, confidence=None):
    """Summarise the objects of a label, on request with a confidence for each."""
    objects = find_objects(label)
    table = measure_objects(objects, np.zeros((*label.shape, 1), "u1"), "a", classes, size)
    if confidence is not None:
        table["confidence"] = confidence
    return summarise_image(np.bincount(label.ravel(), minlength=len(classes)), table, classes, size)


def count(**counts):
    """Return a table of images of one class with so many objects; None: not separated."""
    rows = []
    for name, number in counts.items():
        found = {} if number is None else {"count_cell": number, "area_cell_px": 7 * number}
        rows.append((name, found, "", "it is broken" if name.startswith("bad") else ""))
    return tabulate_images(rows, TWO)


def test_count_area_and_fraction_of_a_drawn_image():
    label = draw("11..", "1..1", "....", "..11", "....")
    found = summarise(label, TWO, PixelSize(500, 200, "nm"), confidence=[0.5, 0.75, 1.0])
    assert found == {
        "count_cell": 3,
        "area_cell_px": 6,
        "area_cell_um2": pytest.approx(0.6),
        "fraction_cell": 0.3,
        "mean_confidence_cell": 0.75,
    }


def test_each_class_has_its_own_columns():
    found = summarise(draw("11.2", "1..2", "....", "2..."), THREE)
    assert (found["count_cell"], found["area_cell_px"], found["fraction_cell"]) == (1, 3, 3 / 16)
    assert (found["count_cell wall"], found["area_cell wall_px"]) == (2, 3)
    assert math.isnan(found["area_cell_um2"])
    names = list(image_columns(THREE))
    assert names[0] == "image"
    assert names[-2:] == ["unlike_training", "reason"]
    assert len(names) == len(set(names)) == 13


def test_nothing_found_is_zero_and_its_confidence_unknown():
    found = summarise(draw("..", ".."), TWO, PixelSize(1, 1), confidence=[])
    assert (found["count_cell"], found["area_cell_px"], found["area_cell_um2"]) == (0, 0, 0)
    assert found["fraction_cell"] == 0
    assert math.isnan(found["mean_confidence_cell"])


def test_without_separated_objects_the_covered_fraction_remains():
    assert summarise_image(np.array([3, 1]), None, TWO) == {"fraction_cell": 0.25}


def test_the_table_has_a_row_for_each_image_whose_unknown_values_are_missing(tmp_path):
    full = summarise(draw("11", ".."), TWO)
    rows = [
        ("007", full, "unlike the training data: brightness", ""),
        ("deep/b", {"fraction_cell": 0.5}, "", ""),
        ("c", {}, "", "c.tif: it is damaged. Replace it."),
    ]
    table = tabulate_images(rows, TWO)
    assert table["image"].tolist() == ["007", "deep/b", "c"]
    assert table["count_cell"].isna().tolist() == [False, True, True]
    assert table["fraction_cell"].tolist()[:2] == [0.5, 0.5]
    assert table["reason"].tolist() == ["", "", "c.tif: it is damaged. Replace it."]
    table.to_parquet(tmp_path / "images.parquet", index=False)
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "images.parquet").astype(image_columns(TWO)), table
    )
    sheet = pd.read_csv(io.StringIO(table.to_csv(index=False)), dtype={"image": str})
    assert sheet["image"].tolist() == ["007", "deep/b", "c"]
    assert sheet["count_cell"].tolist()[0] == 1
    assert "007,1,2,,0.5,," in table.to_csv(index=False)


def test_without_images_the_table_has_its_columns():
    table = tabulate_images([], TWO)
    assert list(table.columns) == list(image_columns(TWO))
    assert describe_counts(table, TWO) == "0 images"


@pytest.mark.parametrize(
    ("images", "told"),
    [
        ({"a": 31, "b": 0}, "2 images, 31 objects of class 'cell', 0 to 31 an image"),
        ({"a": 1}, "1 image, 1 object of class 'cell'"),
        ({"a": 0}, "1 image, 0 objects of class 'cell'"),
        (
            {"a": 1200, "b": 34, "bad": None},
            "2 images, 1,234 objects of class 'cell', 34 to 1,200 an image; 1 more image failed",
        ),
        ({"a": None, "b": None}, "2 images, whose objects were not separated"),
        (
            {"a": 5, "b": None, "bad1": None, "bad2": None},
            "2 images, 5 objects of class 'cell'; the objects of 1 image were not separated; "
            "2 more images failed",
        ),
        ({"bad": None}, "0 images; 1 more image failed"),
    ],
)
def test_counts_in_a_sentence(images, told):
    assert describe_counts(count(**images), TWO) == told


def test_the_classes_with_most_objects_are_named_in_their_order():
    classes = ["background", *(f"kind {number}" for number in range(8))]
    found = {f"count_{name}": number for number, name in enumerate(classes[1:])}
    told = describe_counts(tabulate_images([("a", found, "", "")], classes), classes)
    assert told.startswith("1 image, 2 objects of class 'kind 2'; 3 objects of class 'kind 3'; ")
    assert told.endswith("7 objects of class 'kind 7'; and 2 more classes")
