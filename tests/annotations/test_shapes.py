import zipfile
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unetflow.annotations import tables
from unetflow.annotations.class_map import ClassMap
from unetflow.annotations.geometries import Polygon
from unetflow.annotations.raster import ShapeAnnotation, ShapedObject, SourceImage
from unetflow.annotations.records import Pair, build_pairing
from unetflow.annotations.tables import (
    MAX_COORDINATE,
    Coordinate,
    Record,
    parse_record,
    read_bytes,
    shorten,
)
from unetflow.config.classes import ClassSpec
from unetflow.core.errors import InputError
from unetflow.io.file_listing import list_files

TWO = ClassMap((ClassSpec("background", (0,)), ClassSpec("cell", (255,))))
NAMED = ClassMap(
    (
        ClassSpec("background", ("hole",)),
        ClassSpec("cell", ("cell", "nucleus")),
        ClassSpec("bud", ("bud",)),
    ),
    ignore=("unclear",),
)
ENOUGH = 10**6


class Point(Record):
    x: Coordinate


def rectangle(left, top, right, bottom):
    return Polygon((left, top, right, top, right, bottom, left, bottom))


def thing(name, *box, ignored=False, where="annotation 1"):
    return ShapedObject(name, (rectangle(*box),), where, ignored)


def rows(*texts):
    return np.array([[int(digit) for digit in text] for text in texts])


def draw(*objects, shape=(4, 6), class_map=NAMED, size=None):
    return ShapeAnnotation(objects, "a.json[b.png]", size).draw(shape, class_map, ENOUGH)


def test_polygon_covers_the_pixels_between_its_corners():
    mask = Polygon((1, 1, 4, 1, 4, 3, 1, 3)).pixels((4, 6), "x")
    np.testing.assert_array_equal(mask, rows("000000", "011100", "011100", "000000"))
    assert mask.dtype == bool


def test_polygon_is_clipped_to_the_image():
    mask = rectangle(-9, 2, 3, 99).pixels((4, 6), "x")
    np.testing.assert_array_equal(mask, rows("000000", "000000", "111000", "111000"))


def staircase(steps):
    """Return a polygon of right angles under steps of heights from 1 on, and its corners."""
    corners = [(0, 0)]
    for column, height in enumerate(steps):
        corners += [(column, height), (column + 1, height)]
    return [*corners, (len(steps), 0)]


def is_inside(x, y, corners):
    """Count how many sides a ray to the right of a point crosses."""
    crossed = 0
    for (x0, y0), (x1, y1) in zip(corners, [*corners[1:], corners[0]], strict=True):
        if (y0 > y) != (y1 > y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
            crossed += 1
    return crossed % 2 == 1


@given(st.lists(st.integers(1, 9), min_size=1, max_size=9), st.integers(-3, 6), st.integers(-3, 6))
def test_polygon_with_whole_corners_holds_the_pixels_whose_centres_are_inside(steps, left, top):
    corners = [(x + left, y + top) for x, y in staircase(steps)]
    expected = [
        [is_inside(column + 0.5, row + 0.5, corners) for column in range(8)] for row in range(7)
    ]
    numbers = tuple(float(number) for corner in corners for number in corner)
    np.testing.assert_array_equal(Polygon(numbers).pixels((7, 8), "x"), expected)


@pytest.mark.parametrize(
    ("polygon", "shape"),
    [
        (rectangle(0, 0, MAX_COORDINATE, MAX_COORDINATE), (4, 6)),
        (Polygon((0, 0, 3_000_000, 1, 0, 2) * 2), (4, 6)),
        (rectangle(0, 0, 3, 3), (50_000, 50_000)),
    ],
    ids=["far", "to and fro", "large image"],
)
def test_outline_that_would_not_fit_into_memory_is_refused(polygon, shape):
    with pytest.raises(InputError, match="too large to be drawn") as caught:
        polygon.pixels(shape, "here")
    assert caught.value.where == "here"


def test_objects_are_numbered_in_order_and_later_ones_lie_on_top():
    drawn = draw(thing("bud", 0, 0, 4, 2), thing("nucleus", 2, 1, 6, 3))
    np.testing.assert_array_equal(drawn.label, rows("222200", "221111", "001111", "000000"))
    np.testing.assert_array_equal(drawn.instances, rows("111100", "112222", "002222", "000000"))
    assert (drawn.label.dtype, drawn.instances.dtype) == (np.uint8, np.uint16)
    assert drawn.overlap == 2


def test_parts_of_an_object_have_one_number():
    parts = (rectangle(0, 0, 2, 2), rectangle(1, 1, 3, 3), rectangle(5, 0, 6, 1))
    drawn = draw(ShapedObject("bud", parts, "annotation 1"))
    np.testing.assert_array_equal(drawn.instances, rows("110001", "111000", "011000", "000000"))
    assert drawn.overlap == 0


def test_ignored_objects_lie_under_all_others_and_have_no_number():
    drawn = draw(
        thing("bud", 0, 0, 4, 1, ignored=True),
        thing("unclear", 3, 0, 5, 2),
        thing("cell", 2, 0, 4, 4),
        thing("undeclared", 0, 3, 3, 4, ignored=True),
    )
    ignored = 255 * rows("110010", "000010", "000000", "110000")
    np.testing.assert_array_equal(drawn.label, ignored + rows(*["001100"] * 4))
    np.testing.assert_array_equal(drawn.instances, rows(*["001100"] * 4))
    assert drawn.overlap == 0


def test_object_of_the_background_class_is_a_hole_without_number():
    drawn = draw(thing("cell", 0, 0, 4, 4), thing("hole", 1, 1, 2, 3), thing("bud", 5, 0, 6, 1))
    np.testing.assert_array_equal(drawn.label, rows("111102", "101100", "101100", "111100"))
    assert set(np.unique(drawn.instances[drawn.label > 0])) == {1, 3}
    assert not drawn.instances[drawn.label == 0].any()


def test_image_without_objects_is_background():
    drawn = draw(class_map=TWO)
    assert not drawn.label.any()
    assert not drawn.instances.any()


def test_objects_without_name_belong_to_the_only_class():
    drawn = draw(thing(None, 0, 0, 1, 1), thing(None, 2, 2, 3, 3), class_map=TWO)
    np.testing.assert_array_equal(drawn.label, rows("100000", "000000", "001000", "000000"))
    with pytest.raises(InputError, match="objects have no class") as caught:
        draw(thing(None, 0, 0, 1, 1))
    assert caught.value.where == "a.json[b.png], annotation 1"


def test_undeclared_name_is_refused_with_the_object():
    with pytest.raises(InputError, match="no class declares its objects named 'car'") as caught:
        draw(thing("cell", 0, 0, 1, 1), thing("car", 0, 0, 1, 1, where="annotation 7"))
    assert caught.value.where == "a.json[b.png], annotation 7"


@pytest.mark.parametrize("ignored", [False, True])
@pytest.mark.parametrize("box", [(6, 0, 9, 2), (-5, -5, 0, 0), (1, 1, 1, 1)])
def test_object_without_any_pixel_is_refused(box, ignored):
    with pytest.raises(InputError, match=r"no pixel .* lies in it\. Correct or remove") as caught:
        draw(thing("cell", *box, ignored=ignored, where="annotation 3"))
    assert caught.value.where == "a.json[b.png], annotation 3"


def test_image_of_another_size_than_the_annotated_one_is_refused():
    assert draw(thing("cell", 0, 0, 1, 1), size=(4, 6)).label.shape == (4, 6)
    with pytest.raises(InputError, match=r"image of 4 x 6 pixels .* image is 6 x 4"):
        draw(size=(6, 4))


def test_limit_of_pixels_holds():
    with pytest.raises(InputError, match="allowed 23"):
        ShapeAnnotation((), "x").draw((4, 6), TWO, 23)


def test_content_changes_with_all_that_is_drawn_and_with_nothing_else():
    one, two = thing("cell", 0, 0, 2, 2), thing("bud", 1, 1, 3, 3)
    annotation = ShapeAnnotation((one, two), "here", (4, 6))
    others = [
        replace(annotation, size=None),
        replace(annotation, objects=(two, one)),
        replace(annotation, objects=(one,)),
        replace(annotation, objects=(replace(one, name=None), two)),
        replace(annotation, objects=(replace(one, ignored=True), two)),
        replace(annotation, objects=(thing("cell", 0, 0, 2, 2.125), two)),
    ]
    assert len({annotation.content, *(other.content for other in others)}) == 7
    moved = replace(annotation, where="there", objects=(replace(one, where="annotation 9"), two))
    assert (
        moved.content == annotation.content == ShapeAnnotation((one, two), "here", (4, 6)).content
    )
    assert annotation.files == ()


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), -float("inf"), 1e300, 10**400, True, "1", None, [1]]
)
def test_a_value_that_is_not_a_coordinate_is_refused(value):
    with pytest.raises(InputError, match=r"its 'x' is .*, but it must be .*number|less|greater"):
        parse_record(Point, {"x": value}, "here")


def test_whole_numbers_and_fractions_are_coordinates():
    for value in (1, -2.5, MAX_COORDINATE, -MAX_COORDINATE):
        x = parse_record(Point, {"x": value}, "here").x
        assert (x, type(x)) == (value, float)


def test_values_are_shown_short_and_on_one_line():
    assert shorten("a\nb\ud800") == r"'a\nb\ud800'"
    assert len(shorten("x" * 9999)) < 70
    assert len(shorten(10**4000)) < 70
    assert shorten([[]]) == "a list"


def test_too_large_a_table_is_not_read(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    path.write_bytes(b"12345")
    assert read_bytes(path) == b"12345"
    monkeypatch.setattr(tables, "MAX_TABLE_BYTES", 4)
    with pytest.raises(InputError, match=r"5 bytes are more than the allowed 4\. Split"):
        read_bytes(path)


def test_table_in_a_damaged_archive_is_refused(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.json", "unchanged")
    path.write_bytes(path.read_bytes().replace(b"unchanged", b"different"))
    with pytest.raises(InputError, match=r"cannot be read \(BadZipFile: Bad CRC"):
        read_bytes(list_files(path).file("a.json"))


def test_table_that_was_removed_after_listing_is_refused(tmp_path):
    (tmp_path / "a.json").touch()
    for name in ("gone.zip", "other.zip", "damaged.zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("a.json", "unchanged")
    roots = [tmp_path, *(tmp_path / name for name in ("gone.zip", "other.zip", "damaged.zip"))]
    files = [list_files(root).file("a.json") for root in roots]
    (tmp_path / "a.json").unlink()
    (tmp_path / "gone.zip").unlink()
    (tmp_path / "damaged.zip").write_bytes(b"no archive")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("b.json", "another file")
    for file in files:
        with pytest.raises(InputError, match=r"it cannot be read \(.*\)\. Copy it again") as caught:
            read_bytes(file)
        assert caught.value.where == str(file)


def test_images_that_share_an_id_are_refused_and_the_rest_is_sorted(tmp_path):
    files = {name: tmp_path / name for name in ("2.png", "2.tif", "10.png", "9.png", "9.jpg")}
    pairs = [
        Pair(name.partition(".")[0], SourceImage(files[name]), ShapeAnnotation((), "t"))
        for name in ("10.png", "2.png", "9.png")
    ]
    unlabelled = [("2", files["2.tif"]), ("11", tmp_path / "11.png"), ("3", tmp_path / "3.png")]
    earlier = InputError(tmp_path / "10.txt", "wrong", "Fix it")
    pairing = build_pairing(pairs, unlabelled, [earlier])
    assert [pair.id for pair in pairing.pairs] == ["9", "10"]
    assert list(pairing.unlabelled) == ["3", "11"]
    assert [error.where for error in pairing.refused] == [
        str(tmp_path / name) for name in ("2.png", "2.tif", "10.txt")
    ]
    assert pairing.refused[0].problem == "several images have the id '2': 2.png, 2.tif"
