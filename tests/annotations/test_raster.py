import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from unetflow.annotations.class_map import ClassMap
from unetflow.annotations.raster import (
    InstanceMask,
    ObjectCanvas,
    ObjectMasks,
    SemanticMask,
    SourceImage,
    to_smallest_dtype,
)
from unetflow.config.classes import ClassSpec
from unetflow.core.errors import InputError
from unetflow.core.types import IGNORE
from unetflow.io.tiff_writer import write_tiff

MANY = 10**6
TWO = ClassMap((ClassSpec("background", (0,)), ClassSpec("cell", (255,))))
THREE = ClassMap(
    (ClassSpec("background", (0,)), ClassSpec("cell", (7,)), ClassSpec("wall", (9, 10))),
    ignore=(3,),
)


def write(path, pixels, dtype=np.uint8):
    write_tiff(path, np.asarray(pixels, dtype))
    return SourceImage(path)


def test_mask_values_become_class_indices(tmp_path):
    mask = SemanticMask(write(tmp_path / "a.tif", [[0, 7, 9], [10, 3, 0]]))
    drawn = mask.draw((2, 3), THREE, MANY)
    np.testing.assert_array_equal(drawn.label, [[0, 1, 2], [2, IGNORE, 0]])
    assert drawn.label.dtype == np.uint8
    assert drawn.instances is None
    assert drawn.overlap == 0


def test_a_mask_with_soft_edges_is_cut_at_the_threshold(tmp_path):
    class_map = ClassMap(TWO.classes, binarise_at=128)
    mask = SemanticMask(write(tmp_path / "a.tif", [[0, 127, 128, 255]]))
    np.testing.assert_array_equal(mask.draw((1, 4), class_map, MANY).label, [[0, 0, 1, 1]])


def test_mask_colours_become_class_indices(tmp_path):
    colours = [[(0, 0, 0), (255, 0, 0), (0, 0, 255)]]
    Image.fromarray(np.array(colours, np.uint8)).save(tmp_path / "a.png")
    classes = (ClassSpec("background", ("#000000",)), ClassSpec("cell", ("#ff0000",)))
    class_map = ClassMap(classes, ignore=("#0000ff",))
    mask = SemanticMask(SourceImage(tmp_path / "a.png"))
    np.testing.assert_array_equal(mask.draw((1, 3), class_map, MANY).label, [[0, 1, IGNORE]])


def test_a_value_that_no_class_declares_is_refused_with_the_file(tmp_path):
    mask = SemanticMask(write(tmp_path / "a.tif", [[0, 7, 8]]))
    with pytest.raises(InputError, match="values that no class declares") as caught:
        mask.draw((1, 3), THREE, MANY)
    assert caught.value.where == str(tmp_path / "a.tif")


@pytest.mark.parametrize("kind", [SemanticMask, InstanceMask])
def test_a_mask_of_another_size_is_refused_with_both_sizes(tmp_path, kind):
    annotation = kind(write(tmp_path / "a.tif", [[0, 255, 0]]))
    with pytest.raises(InputError, match="the mask is 3 x 1, but its image is 4 x 2"):
        annotation.draw((2, 4), TWO, MANY)


@pytest.mark.parametrize("kind", [SemanticMask, InstanceMask])
def test_a_page_of_a_stack_is_drawn_and_named(tmp_path, kind):
    tifffile.imwrite(tmp_path / "a.tif", np.array([[[0, 255]], [[255, 0]]], np.uint8))
    annotation = kind(SourceImage(tmp_path / "a.tif", 1))
    np.testing.assert_array_equal(annotation.draw((1, 2), TWO, MANY).label, [[1, 0]])
    assert annotation.where == f"{tmp_path / 'a.tif'}[1]"
    assert annotation.files == (tmp_path / "a.tif",)
    assert annotation.content != kind(SourceImage(tmp_path / "a.tif", 0)).content


def test_instance_and_semantic_masks_of_one_file_differ_in_content(tmp_path):
    image = write(tmp_path / "a.tif", [[0, 255]])
    assert SemanticMask(image).content != InstanceMask(image).content


def test_objects_are_renumbered_in_the_order_of_their_values(tmp_path):
    annotation = InstanceMask(write(tmp_path / "a.tif", [[0, 900, 5], [5, 0, 70]], np.uint16))
    drawn = annotation.draw((2, 3), TWO, MANY)
    np.testing.assert_array_equal(drawn.instances, [[0, 3, 1], [1, 0, 2]])
    np.testing.assert_array_equal(drawn.label, [[0, 1, 1], [1, 0, 1]])
    assert drawn.instances.dtype == np.uint16
    assert drawn.overlap == 0


def test_without_any_background_the_first_object_has_number_1(tmp_path):
    annotation = InstanceMask(write(tmp_path / "a.tif", [[8, 4]]))
    drawn = annotation.draw((1, 2), TWO, MANY)
    np.testing.assert_array_equal(drawn.instances, [[2, 1]])
    np.testing.assert_array_equal(drawn.label, [[1, 1]])


def test_an_object_below_0_is_refused(tmp_path):
    annotation = InstanceMask(write(tmp_path / "a.tif", [[0, -1]], np.int16))
    with pytest.raises(InputError, match="numbers an object below 0"):
        annotation.draw((1, 2), TWO, MANY)


def test_numbered_objects_of_several_classes_are_refused(tmp_path):
    annotation = InstanceMask(write(tmp_path / "a.tif", [[0, 1]]))
    with pytest.raises(InputError, match="`classes` lists 3"):
        annotation.draw((1, 2), THREE, MANY)


SHAPE = (6, 7)


@given(
    objects=st.lists(st.tuples(hnp.arrays(bool, SHAPE), st.integers(1, 3)), max_size=4),
    ignored=hnp.arrays(bool, SHAPE),
)
def test_the_canvas_equals_drawing_pixel_by_pixel(objects, ignored):
    canvas = ObjectCanvas(SHAPE)
    label, instances = np.zeros(SHAPE, int), np.zeros(SHAPE, int)
    claims = np.zeros(SHAPE, int)
    count = 0
    for pixels, index in objects:
        assert canvas.add(pixels, index) == pixels.any()
        count += int(pixels.any())
        for place in zip(*np.nonzero(pixels), strict=True):
            label[place], instances[place] = index, count
            claims[place] += 1
    label[ignored & (claims == 0)] = IGNORE
    drawn = canvas.finish(ignored)
    np.testing.assert_array_equal(drawn.label, label)
    np.testing.assert_array_equal(drawn.instances, instances)
    assert drawn.overlap == (claims > 1).sum()


@pytest.mark.parametrize(
    ("highest", "dtype"), [(0, np.uint16), (65535, np.uint16), (65536, np.uint32)]
)
def test_object_numbers_have_the_smallest_sufficient_dtype(highest, dtype):
    numbers = to_smallest_dtype(np.array([0, highest]))
    assert numbers.dtype == dtype
    assert numbers[1] == highest


SOFT = np.array([[0, 20, 255], [0, 200, 127]], np.uint8)


def class_map_of(**options):
    return ClassMap((ClassSpec("background", (0,)), ClassSpec("cell", (255,))), **options)


def test_threshold_and_ignored_values_apply_to_object_masks(tmp_path):
    Image.fromarray(SOFT).save(tmp_path / "1.png")
    objects = ObjectMasks((tmp_path / "1.png",), "objects")
    drawn = objects.draw((2, 3), class_map_of(binarise_at=128, ignore=(20,)), 100)
    assert drawn.label.tolist() == [[0, 255, 1], [0, 1, 0]]
    assert drawn.instances.tolist() == [[0, 0, 1], [0, 1, 0]]


def test_ignored_numbers_are_not_objects(tmp_path):
    Image.fromarray(SOFT).save(tmp_path / "1.png")
    numbered = InstanceMask(SourceImage(tmp_path / "1.png"))
    drawn = numbered.draw((2, 3), class_map_of(ignore=(20, 255)), 100)
    assert drawn.label.tolist() == [[0, 255, 255], [0, 1, 1]]
    assert drawn.instances.tolist() == [[0, 0, 0], [0, 2, 1]]
    with pytest.raises(InputError, match="which cannot be binarised"):
        numbered.draw((2, 3), class_map_of(binarise_at=128), 100)


def test_ignored_values_are_removed_before_the_threshold(tmp_path):
    Image.fromarray(SOFT).save(tmp_path / "1.png")
    mask = SemanticMask(SourceImage(tmp_path / "1.png"))
    drawn = mask.draw((2, 3), class_map_of(binarise_at=100, ignore=(127,)), 100)
    assert drawn.label.tolist() == [[0, 0, 1], [0, 1, 255]]
