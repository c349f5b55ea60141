import base64
import io
import json
import struct
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from unetflow.annotations.class_map import ClassMap
from unetflow.annotations.geometries import Circle, Patch
from unetflow.annotations.layouts.labelme import find_labelme
from unetflow.config.classes import ClassSpec
from unetflow.core.errors import InputError
from unetflow.io.file_listing import list_files

CLASS_MAP = ClassMap(
    (ClassSpec("background", ()), ClassSpec("cell", ("cell",)), ClassSpec("other", None)),
    ignore=("unclear",),
)
SHAPE = (8, 9)
ENOUGH = 10**6


def rows(*texts):
    return np.array([[int(digit) for digit in text] for text in texts])


def base64_png(mask):
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(mask)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def claim_size(text, side):
    """Write another width and height into the header of a PNG file."""
    data = bytearray(base64.b64decode(text))
    data[16:24] = struct.pack(">II", side, side)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return base64.b64encode(data).decode()


def shape(kind, *points, label="cell", **more):
    return {"label": label, "points": [list(p) for p in points], "shape_type": kind, **more}


def record(path, *shapes, **more):
    sizes = {"imageHeight": SHAPE[0], "imageWidth": SHAPE[1]}
    return {"imagePath": path, "imageData": None, "shapes": list(shapes), **sizes, **more}


def make(folder, records, *images):
    for name in images:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    for name, content in records.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = content if isinstance(content, str) else json.dumps(content)
        path.write_text(text, encoding="utf-8")
    return list_files(folder)


def find_one(folder, *shapes):
    return find_labelme(make(folder, {"a.json": record("a.png", *shapes)}, "a.png"))


def draw(folder, *shapes):
    pairing = find_one(folder, *shapes)
    assert pairing.refused == []
    return pairing.pairs[0].annotation.draw(SHAPE, CLASS_MAP, ENOUGH)


def only_error(pairing):
    (error,) = pairing.refused
    return error


def test_polygon_rectangle_and_circle_are_drawn_in_order(tmp_path):
    drawn = draw(
        tmp_path,
        shape("polygon", (0, 0), (3, 0), (3, 2), (0, 2)),
        shape("rectangle", (5, 3), (2, 1), label="bud"),
        shape("circle", (7, 6), (8.6, 6)),
        shape("rectangle", (0, 0), (9, 1), label="unclear"),
    )
    expected = rows(
        *("111000000", "112220000", "002220000", "000000000"),
        *("000000110", "000001111", "000001111", "000000110"),
    )
    ignored = np.zeros(SHAPE, int)
    ignored[0, 3:] = 255
    np.testing.assert_array_equal(drawn.label, expected + ignored)
    assert drawn.instances.max() == 3
    assert drawn.overlap == 1


@given(*(st.integers(-4, 14).map(lambda quarter: quarter / 2) for _ in range(4)))
def test_circle_holds_the_pixels_whose_centre_is_within_the_radius(x, y, rim_x, rim_y):
    radius = (rim_x - x) ** 2 + (rim_y - y) ** 2
    expected = [
        [(c + 0.5 - x) ** 2 + (r + 0.5 - y) ** 2 <= radius for c in range(6)] for r in range(5)
    ]
    np.testing.assert_array_equal(Circle(x, y, rim_x, rim_y).pixels((5, 6), "x"), expected)


def test_oriented_rectangle_and_shapes_without_type_are_polygons(tmp_path):
    corners = ((0, 0), (3, 0), (3, 2), (0, 2))
    untyped = {"label": "cell", "points": [[5, 0], [7, 0], [7, 2], [5, 2]]}
    drawn = draw(tmp_path, shape("oriented_rectangle", *corners), untyped)
    np.testing.assert_array_equal(drawn.instances[:2], rows("111002200", "111002200"))


@pytest.mark.parametrize("value", [np.True_, np.uint8(1), np.uint8(255)])
@pytest.mark.parametrize("corner", [(4, 3), (5, 4)], ids=["to the last pixel", "beyond it"])
def test_mask_is_pasted_at_the_upper_left_corner_of_its_box(tmp_path, value, corner):
    mask = rows("101", "010").astype(value.dtype) * value
    drawn = draw(tmp_path, shape("mask", (2, 2), corner, mask=base64_png(mask)))
    expected = np.zeros(SHAPE, int)
    expected[2:4, 2:5] = rows("101", "010")
    np.testing.assert_array_equal(drawn.label, expected)


@given(st.integers(-4, 8), st.integers(-4, 8), st.integers(1, 5), st.integers(1, 5))
def test_mask_beyond_the_border_is_clipped(left, top, width, height):
    mask = np.arange(1, 1 + width * height).reshape(height, width) % 3 > 0
    png = base64.b64decode(base64_png(mask))
    pixels = Patch(png, (left, top, left + width, top + height)).pixels((6, 7), "x")
    for row in range(6):
        for column in range(7):
            inside = top <= row < top + height and left <= column < left + width
            assert pixels[row, column] == (inside and mask[row - top, column - left])


def test_shapes_of_one_group_are_one_object(tmp_path):
    drawn = draw(
        tmp_path,
        shape("rectangle", (0, 0), (2, 1), group_id=4),
        shape("rectangle", (3, 0), (4, 1), group_id=None),
        shape("rectangle", (5, 0), (6, 1), group_id=4, label="bud"),
        shape("rectangle", (7, 0), (8, 1), group_id=4),
    )
    np.testing.assert_array_equal(drawn.instances[0], [1, 1, 0, 2, 0, 3, 0, 1, 0])
    np.testing.assert_array_equal(drawn.label[0], [1, 1, 0, 1, 0, 2, 0, 1, 0])


def test_images_are_found_by_path_beside_and_in_the_folder_of_images(tmp_path):
    records = {
        "json/1.json": record("..\\photos\\other name.png"),
        "json/10.JSON": record("C:\\Users\\me\\10.png"),
        "json/sub/2.json": record("moved.png"),
        "json/3.json": record("../photos/../../3.png", imageData="x"),
    }
    names = ("photos/other name.png", "json/10.tif", "photos/sub/2.jpg", "photos/3.png")
    listing = make(tmp_path, records, *names, "photos/more.png", "photos/10.png")
    pairing = find_labelme(listing, annotations="json", images="photos")
    assert pairing.refused == []
    assert [(pair.id, str(pair.image)) for pair in pairing.pairs] == [
        ("3", str(tmp_path / "photos/3.png")),
        ("json/10", str(tmp_path / "json/10.tif")),
        ("other name", str(tmp_path / "photos/other name.png")),
        ("sub/2", str(tmp_path / "photos/sub/2.jpg")),
    ]
    assert list(pairing.unlabelled) == ["10", "more"]
    assert pairing.pairs[0].annotation.where == str(tmp_path / "json/3.json")


def test_image_without_shapes_is_negative_and_one_without_file_is_unlabelled(tmp_path):
    pairing = find_labelme(make(tmp_path, {"a.json": record("a.png")}, "a.png", "b.png"))
    assert not pairing.pairs[0].annotation.draw(SHAPE, CLASS_MAP, ENOUGH).label.any()
    assert list(pairing.unlabelled) == ["b"]


def test_archive_is_read_in_place(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("json/a.json", json.dumps(record("../images/a.png")))
        archive.writestr("images/a.png", b"")
    pairing = find_labelme(list_files(tmp_path / "a.zip"), annotations="json", images="images")
    assert [pair.id for pair in pairing.pairs] == ["a"]


def test_size_of_the_image_is_checked_where_it_is_stated(tmp_path):
    other = record("b.png")
    del other["imageHeight"], other["imageWidth"]
    pairing = find_labelme(
        make(tmp_path, {"a.json": record("a.png"), "b.json": other}, "a.png", "b.png")
    )
    with pytest.raises(InputError, match=r"image of 9 x 8 pixels .* image is 3 x 2") as caught:
        pairing.pairs[0].annotation.draw((2, 3), CLASS_MAP, ENOUGH)
    assert caught.value.where == str(tmp_path / "a.json")
    assert pairing.pairs[1].annotation.draw((2, 3), CLASS_MAP, ENOUGH).label.shape == (2, 3)


PNG = base64_png(np.ones((2, 3), bool))


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (shape("line", (0, 0), (1, 1)), "a line has no area"),
        (shape("linestrip", (0, 0), (1, 1)), "a linestrip has no area"),
        (shape("point", (0, 0)), "a point has no area"),
        (shape("points", (0, 0)), "a points has no area"),
        (shape("blob", (0, 0)), "there is no shape 'blob' with 1 points"),
        (shape(["polygon"], (0, 0)), "there is no shape a list with 1 points"),
        (shape("polygon", (0, 0), (1, 1)), "there is no shape 'polygon' with 2 points"),
        (shape("rectangle", (0, 0)), "there is no shape 'rectangle' with 1 points"),
        (shape("circle", (0, 0)), "there is no shape 'circle' with 1 points"),
        (shape("polygon", (0, 0), (1, 1), (1,)), "its 'points[2][1]' is missing"),
        (
            shape("polygon", (0, 0), (1, 1), (1, "2")),
            "its 'points[2][1]' is '2', but it must be a valid number",
        ),
        (
            shape("circle", (0, 0), (1, float("inf"))),
            "its 'points[1][1]' is inf, but it must be a finite number",
        ),
        (shape("mask", (0, 0), (2, 1)), "its mask is not a text in base64"),
        (shape("mask", (0, 0), (2, 1), mask=None), "its mask is not a text in base64"),
        (shape("mask", (0, 0), (2, 1), mask="*"), "its mask is not a text in base64"),
        (shape("mask", (0, 0), (2, 1), mask="é"), "its mask is not a text in base64"),
        (shape("polygon", label=3), "its 'label' is 3, but it must be a valid string"),
        (
            shape("polygon", group_id=[]),
            "its 'group_id' is a list, but it must be a whole number or a text",
        ),
        ({"label": "cell"}, "its 'points' is missing"),
        ({"label": "cell", "points": {}}, "its 'points' is a dict, but it must be a valid list"),
        (7, "it is 7, but it must be a valid dictionary"),
    ],
)
def test_wrong_shape_refuses_its_image_and_is_named(tmp_path, wrong, problem):
    pairing = find_one(tmp_path, shape("rectangle", (0, 0), (1, 1)), wrong)
    error = only_error(pairing)
    assert problem in error.problem
    assert error.where == f"{tmp_path / 'a.json'}, shapes[1]"
    assert error.fix.split()[0] in ("Draw", "Export", "Correct")
    assert pairing.pairs == []
    assert pairing.unlabelled == {}


@pytest.mark.parametrize(
    ("png", "problem"),
    [
        (base64.b64encode(b"no image").decode(), "not a PNG image that can be decoded"),
        (PNG[:60], "not a PNG image that can be decoded"),
        (base64_png(np.ones((2, 6), bool)), "its mask of 6 x 2 pixels does not fit its box of 2 x"),
        (claim_size(PNG, 60_000), "its mask of 60000 x 60000 pixels does not fit its box"),
        (base64_png(np.ones((2, 3, 3), np.uint8)), "the colours of its mask are RGB"),
        (base64_png(np.zeros((2, 3), bool)), "no pixel of the image lies in it"),
    ],
    ids=["no image", "cut off", "too wide", "bomb", "colour", "empty"],
)
def test_wrong_mask_is_refused_when_it_is_drawn(tmp_path, png, problem):
    pairing = find_one(tmp_path, shape("mask", (1, 1), (3, 2), mask=png))
    with pytest.raises(InputError, match=problem) as caught:
        pairing.pairs[0].annotation.draw(SHAPE, CLASS_MAP, ENOUGH)
    assert caught.value.where == f"{tmp_path / 'a.json'}, shapes[0]"


def test_jpeg_as_mask_is_refused(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(np.full((2, 3), 255, np.uint8)).save(buffer, "JPEG")
    jpeg = base64.b64encode(buffer.getvalue()).decode()
    pairing = find_one(tmp_path, shape("mask", (1, 1), (3, 2), mask=jpeg))
    with pytest.raises(InputError, match="not a PNG image that can be decoded"):
        pairing.pairs[0].annotation.draw(SHAPE, CLASS_MAP, ENOUGH)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "it is not a JSON file"),
        ("[]", "its JSON is not an object with keys"),
        ({"images": []}, "it is not a file of LabelMe: it has no list 'shapes'"),
        ({"shapes": {}}, "it has no list 'shapes'"),
        (record("a.png", imageHeight=-1), "its 'imageHeight' -1 and 'imageWidth' 9 are not a size"),
    ],
)
def test_wrong_file_is_refused_and_its_image_is_not_unlabelled(tmp_path, content, problem):
    listing = make(tmp_path, {"a.json": content, "b.json": record("b.png")}, "a.png", "b.png")
    pairing = find_labelme(listing)
    error = only_error(pairing)
    assert problem in error.problem
    assert error.where == str(tmp_path / "a.json")
    assert [pair.id for pair in pairing.pairs] == ["b"]
    assert pairing.unlabelled == {}


def test_file_without_image_is_refused_with_a_fix(tmp_path):
    records = {
        "1.json": record("gone.png"),
        "2.json": record("..\\gone.png", imageData="iVBOR"),
        "3.json": record(None),
        "4.json": record("4.json"),
    }
    pairing = find_labelme(make(tmp_path, records, "a.png"))
    assert [error.problem.partition(",")[0] for error in pairing.refused] == [
        "there is no image at its imagePath 'gone.png'",
        r"there is no image at its imagePath '..\\gone.png'",
        "there is no image at its imagePath None",
        "there is no image at its imagePath '4.json'",
    ]
    assert "only a copy of it is in the JSON file" in pairing.refused[1].problem
    assert "Export the image out of the JSON file" in pairing.refused[1].fix
    assert pairing.refused[0].fix == "Put the image beside it, or correct `images`"
    assert list(pairing.unlabelled) == ["a"]


def test_several_images_of_one_name_are_refused(tmp_path):
    listing = make(tmp_path, {"a.json": record("gone.png")}, "a.png", "a.tif")
    error = only_error(find_labelme(listing))
    assert error.problem == "several images have its name: a.png, a.tif"
    assert find_labelme(listing).unlabelled == {}


def test_two_files_for_one_image_are_refused_even_if_one_is_wrong(tmp_path):
    wrong = record("a.png", shape("line", (0, 0), (1, 1)))
    records = {"a.json": record("a.png"), "b.json": record("a.png"), "c.json": wrong}
    pairing = find_labelme(make(tmp_path, records, "a.png"))
    assert pairing.pairs == []
    assert [error.problem for error in pairing.refused] == [
        "another file annotates its image 'a.png' too",
        "another file annotates its image 'a.png' too",
        "a line has no area",
    ]


def test_folder_without_json_files_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no JSON file"):
        find_labelme(make(tmp_path, {}, "a.png"))
    with pytest.raises(InputError, match="no such folder"):
        find_labelme(make(tmp_path, {"a.json": record("a.png")}, "a.png"), images="images")


def test_images_of_unsupported_formats_are_refused(tmp_path):
    pairing = find_labelme(make(tmp_path, {"a.json": record("a.png")}, "a.png", "b.webp"))
    assert only_error(pairing).where == str(tmp_path / "b.webp")


def test_mutated_files_end_in_pairs_or_in_an_input_error(tmp_path):
    whole = json.dumps(
        record(
            "a.png",
            shape("polygon", (0, 0), (3.5, 0), (3, 2.25)),
            shape("circle", (4, 4), (5, 6), group_id=1),
            shape("mask", (2, 2), (4, 3), mask=base64_png(np.ones((2, 3), bool))),
            shape("rectangle", (1, 1), (5, 6), label="other"),
        )
    ).encode()
    listing, generator = make(tmp_path, {"a.json": ""}, "a.png"), np.random.default_rng(11)
    drawn = refused = 0
    for _ in range(250):
        data = bytearray(whole)
        for _ in range(generator.integers(1, 3)):
            place = int(generator.integers(len(data)))
            if generator.random() < 0.3:
                del data[place : place + int(generator.integers(1, 10))]
            elif generator.random() < 0.5:
                data[place] ^= 1 << int(generator.integers(8))
            else:
                digits = [n for n, byte in enumerate(data) if chr(byte) in "0123456789"]
                data[generator.choice(digits)] = generator.choice(list(b"0123456789-.eN"))
        (tmp_path / "a.json").write_bytes(data)
        pairing = find_labelme(listing)
        refused += len(pairing.refused)
        for pair in pairing.pairs:
            try:
                pair.annotation.draw(SHAPE, CLASS_MAP, ENOUGH)
                drawn += 1
            except InputError:
                refused += 1
    assert drawn > 20
    assert refused > 50
    assert drawn + refused == 250
