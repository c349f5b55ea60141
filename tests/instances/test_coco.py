import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_masks
from pycocotools.coco import COCO

from tests.support.drawn_objects import NAMES, OBJECTS, TRICKY
from tests.support.images import random_pixels
from unetflow.annotations.class_map import ClassMap
from unetflow.annotations.layouts.find_pairs import find_pairs
from unetflow.config.classes import ClassSpec
from unetflow.core.errors import InputError
from unetflow.instances.export_formats import write_coco
from unetflow.instances.objects import Objects
from unetflow.io.tiff_writer import write_tiff


@given(images=st.lists(OBJECTS, max_size=3))
def test_annotations_read_by_pycocotools_give_back_the_pixels(tmp_path_factory, images):
    path = tmp_path_factory.mktemp("coco") / "a.json"
    write_coco(path, ((f"{n}.png", objects) for n, objects in enumerate(images)), NAMES)
    read = COCO(path)
    assert len(read.imgs) == len(images)
    for image_id, objects in enumerate(images, start=1):
        height, width = objects.numbers.shape
        assert read.imgs[image_id] == {
            "id": image_id,
            "file_name": f"{image_id - 1}.png",
            "width": width,
            "height": height,
        }
        annotations = read.loadAnns(read.getAnnIds(image_id))
        assert [a["category_id"] for a in annotations] == objects.classes.tolist()
        for number, annotation in enumerate(annotations, start=1):
            mask = objects.numbers == number
            np.testing.assert_array_equal(read.annToMask(annotation), mask)
            runs = coco_masks.encode(np.asfortranarray(mask.astype(np.uint8)))
            assert annotation["segmentation"]["counts"] == runs["counts"].decode()
            rows, columns = np.nonzero(mask)
            left, top = columns.min(), rows.min()
            assert annotation["bbox"] == [left, top, columns.max() + 1 - left, rows.max() + 1 - top]
            assert annotation["area"] == mask.sum()
            assert annotation["iscrowd"] == 0
    ids = [a["id"] for a in json.loads(path.read_text())["annotations"]]
    assert ids == list(range(1, len(ids) + 1))


def test_categories_are_the_classes_except_the_background(tmp_path):
    write_coco(tmp_path / "a.json", [], NAMES)
    assert json.loads((tmp_path / "a.json").read_text()) == {
        "images": [],
        "annotations": [],
        "categories": [{"id": 1, "name": "nucleus"}, {"id": 2, "name": "cell"}],
    }


def test_run_lengths_by_hand(tmp_path):
    numbers = np.array([[0, 2, 2], [1, 1, 2]], np.uint32)
    write_coco(tmp_path / "a.json", [("a.png", Objects(numbers, np.ones(2, np.uint8)))], NAMES)
    # Down the columns: 0 1 2 1 2 2. From the fourth length on, the one two before it is taken off.
    annotations = json.loads((tmp_path / "a.json").read_text())["annotations"]
    assert [a["segmentation"]["counts"] for a in annotations] == ["11101", "2111"]
    assert [a["bbox"] for a in annotations] == [[0, 1, 2, 1], [1, 0, 2, 2]]


def test_an_image_may_have_more_objects_than_pycocotools_measures_at_once(tmp_path):
    numbers = np.arange(1, 601, dtype=np.uint32).reshape(20, 30)
    objects = Objects(numbers, np.ones(600, np.uint8))
    write_coco(tmp_path / "a.json", [("a.png", objects)], NAMES)
    annotations = json.loads((tmp_path / "a.json").read_text())["annotations"]
    assert [a["area"] for a in annotations] == [1] * 600
    assert annotations[-1]["bbox"] == [29, 19, 1, 1]


def test_the_layout_coco_reads_what_is_written(tmp_path):
    write_tiff(tmp_path / "a.tif", random_pixels(TRICKY.numbers.shape))
    write_coco(tmp_path / "a.json", [("a.tif", TRICKY)], NAMES)
    (pair,) = find_pairs(tmp_path, "coco", {"annotations": "a.json"}).pairs
    classes = tuple(ClassSpec(name, (name,)) for name in NAMES)
    drawn = pair.annotation.draw(TRICKY.numbers.shape, ClassMap(classes), 10**6)
    np.testing.assert_array_equal(drawn.instances, TRICKY.numbers)
    np.testing.assert_array_equal(drawn.label, np.append(0, TRICKY.classes)[TRICKY.numbers])


def test_a_class_without_a_name_leaves_the_old_file(tmp_path):
    (tmp_path / "a.json").write_text("old")
    with pytest.raises(InputError, match="1 names"):
        write_coco(tmp_path / "a.json", [("a.png", TRICKY)], ["background"])
    assert (tmp_path / "a.json").read_text() == "old"
