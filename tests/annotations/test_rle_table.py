import zipfile

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_masks

from unetflow.annotations.class_map import ClassMap
from unetflow.annotations.geometries import RunLengths, RunPairs, decode_coco_counts
from unetflow.annotations.layouts.rle_table import find_rle_table
from unetflow.config.classes import ClassSpec
from unetflow.core.errors import InputError
from unetflow.io.file_listing import list_files

TWO = ClassMap((ClassSpec("background", (0,)), ClassSpec("cell", (255,))))
NAMED = ClassMap((ClassSpec("background", ()), ClassSpec("crack", ("1",)), ClassSpec("rest", None)))
SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=7)
MASKS = hnp.arrays(bool, SHAPES)
ENOUGH = 10**6


def encode_pairs(mask):
    """Walk down the columns and write down where each run starts and how long it is."""
    height, width = mask.shape
    flat = [mask[place % height][place // height] for place in range(height * width)]
    numbers, place = [], 0
    while place < len(flat):
        length = 0
        while place + length < len(flat) and flat[place + length]:
            length += 1
        if length:
            numbers += [place + 1, length]
        place += max(length, 1)
    return " ".join(map(str, numbers))


def encode_lengths(mask):
    lengths, inside = [0], False
    for column in range(mask.shape[1]):
        for row in range(mask.shape[0]):
            if mask[row, column] != inside:
                lengths.append(0)
                inside = not inside
            lengths[-1] += 1
    return tuple(lengths)


def pack(numbers):
    """Write numbers as the COCO tools do, one character after the other."""
    text = ""
    for place, number in enumerate(numbers):
        rest = number - numbers[place - 2] if place > 2 else number
        more = True
        while more:
            digit, rest = rest & 31, rest >> 5
            more = rest != (-1 if digit & 16 else 0)
            text += chr(48 + digit + 32 * more)
    return text


def make(folder, table, *images):
    for name in images:
        path = folder / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    (folder / "train.csv").write_text(table, encoding="utf-8")
    return list_files(folder)


def find(folder, table, *images, **options):
    return find_rle_table(make(folder, table, *images), table="train.csv", **options)


def only_error(pairing):
    (error,) = pairing.refused
    return error


def test_runs_follow_columns_and_count_from_1():
    mask = RunPairs("1 2 6 1 12 1").pixels((3, 4), "x")
    np.testing.assert_array_equal(mask, [[1, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 1]])


@given(MASKS)
def test_run_pairs_restore_any_mask(mask):
    text = encode_pairs(mask)
    if text:
        np.testing.assert_array_equal(RunPairs(text).pixels(mask.shape, "x"), mask)
    else:
        assert not mask.any()


@given(MASKS)
def test_run_lengths_restore_any_mask(mask):
    packed = coco_masks.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    for counts in (encode_lengths(mask), packed):
        drawn = RunLengths(counts, mask.shape).pixels(mask.shape, "x")
        np.testing.assert_array_equal(drawn, mask)


@example([5, 3, 2**34 - 1, 0, 1])
@given(st.lists(st.integers(0, 2**34 - 1), min_size=1, max_size=9))
def test_packed_lengths_are_unpacked(lengths):
    if all(abs(a - b) < 2**34 for a, b in zip(lengths, lengths[2:], strict=False)):
        np.testing.assert_array_equal(decode_coco_counts(pack(lengths)), lengths)


@pytest.mark.parametrize(
    "text",
    [
        "",
        pack([0, 500]),
        pack([0, 5]),
        pack([3, 4, 2, -3, 10]),
        pack([2**34, 16 - 2**34]),
        pack([0, 500])[:-1],
        "o" * 500,
        "o" * 8 + "0",
        "0" * 1000,
        "0\x7f",
        "0é",
        "0\udcff",
        " 4",
    ],
)
def test_damaged_packed_lengths_are_refused(text):
    with pytest.raises(InputError, match="do not fill the image's 16 pixels"):
        RunLengths(text, (4, 4)).pixels((4, 4), "x")


@given(st.text("0123456789:;<=>?@PQRSTUo", max_size=12))
def test_any_packed_text_is_drawn_to_the_last_pixel_or_refused(text):
    try:
        drawn = RunLengths(text, (3, 4)).pixels((3, 4), "x")
    except InputError:
        return
    expected = coco_masks.decode({"size": [3, 4], "counts": text.encode()})
    np.testing.assert_array_equal(drawn, expected)


@pytest.mark.parametrize("counts", [(), (15,), (17,), (-1, 17), (2**70, 16 - 2**70)])
def test_lengths_that_do_not_fill_the_image_are_refused(counts):
    with pytest.raises(InputError, match="do not fill the image's 16 pixels"):
        RunLengths(counts, (4, 4)).pixels((4, 4), "x")


def test_lengths_of_an_image_of_another_size_are_refused():
    with pytest.raises(InputError, match="of an image of 2 x 8 pixels, but the image is 4 x 4"):
        RunLengths((16,), (8, 2)).pixels((4, 4), "x")


def test_rows_of_an_image_are_its_objects_in_their_order(tmp_path):
    table = "ImageId,EncodedPixels\na,1 4\nb,\na.png,3 3\n"
    pairing = find(tmp_path, table, "a.png", "b.png", "c.png")
    assert pairing.refused == []
    assert [(pair.id, pair.image.file.name) for pair in pairing.pairs] == [
        ("a", "a.png"),
        ("b", "b.png"),
    ]
    assert {name: str(p) for name, p in pairing.unlabelled.items()} == {
        "c": str(tmp_path / "images/c.png")
    }
    drawn = pairing.pairs[0].annotation.draw((3, 2), TWO, ENOUGH)
    np.testing.assert_array_equal(drawn.instances, [[1, 2], [1, 2], [2, 0]])
    np.testing.assert_array_equal(drawn.label, [[1, 1], [1, 1], [1, 0]])
    assert drawn.overlap == 2
    assert pairing.pairs[0].annotation.where == f"{tmp_path / 'train.csv'}[a.png]"
    assert not pairing.pairs[1].annotation.draw((3, 2), TWO, ENOUGH).label.any()


@given(st.lists(st.tuples(st.booleans(), hnp.arrays(bool, (4, 5))), max_size=5))
def test_masks_written_to_a_table_are_restored(tmp_path_factory, entries):
    folder = tmp_path_factory.mktemp("t")
    rows = [f"{'a' if first else 'b'},{encode_pairs(mask)}" for first, mask in entries]
    pairing = find(folder, "\n".join(["ImageId,EncodedPixels", *rows]), "a.tif", "b.tif")
    assert pairing.refused == []
    for pair in pairing.pairs:
        expected, number, claims = np.zeros((4, 5), int), 0, np.zeros((4, 5), int)
        for first, mask in entries:
            if first == (pair.id == "a") and mask.any():
                number += 1
                expected[mask] = number
                claims += mask
        drawn = pair.annotation.draw((4, 5), TWO, ENOUGH)
        np.testing.assert_array_equal(drawn.instances, expected)
        np.testing.assert_array_equal(drawn.label, expected > 0)
        assert drawn.overlap == np.count_nonzero(claims > 1)


def test_ids_stay_text(tmp_path):
    table = "ImageId,EncodedPixels\n007,1 1\n7,2 1\nNA,3 1\n1e5,4 1\nnull,\n"
    pairing = find(tmp_path, table, "007.png", "7.png", "NA.png", "1e5.png", "null.png")
    assert pairing.refused == []
    assert [pair.id for pair in pairing.pairs] == ["1e5", "007", "7", "NA", "null"]


def test_images_in_subfolders_and_names_with_dots_are_found(tmp_path):
    table = "ImageId,EncodedPixels\nsub/a,1 1\nv1.2,1 1\nb.v2.png,1 1\n"
    pairing = find(tmp_path, table, "sub/a.png", "v1.2.png", "b.v2.png")
    assert [pair.id for pair in pairing.pairs] == ["b.v2", "sub/a", "v1.2"]


def test_columns_have_the_given_names_and_one_holds_the_classes(tmp_path):
    table = "class,who,where\n2,a.png,1 2\n1,a.png,2 1\n3,a.png,\n"
    pairing = find(
        tmp_path,
        table,
        "a.png",
        image_column="who",
        pixels_column="where",
        class_column="class",
    )
    drawn = pairing.pairs[0].annotation.draw((3, 1), NAMED, ENOUGH)
    np.testing.assert_array_equal(drawn.label.ravel(), [2, 1, 0])
    np.testing.assert_array_equal(drawn.instances.ravel(), [1, 2, 0])


def test_table_in_an_archive_is_read_in_place(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("train.csv", "ImageId,EncodedPixels\na,1 1\n")
        archive.writestr("images/a.png", b"")
    pairing = find_rle_table(list_files(tmp_path / "a.zip"), table="train.csv")
    assert [pair.id for pair in pairing.pairs] == ["a"]


@pytest.mark.parametrize(
    ("runs", "problem"),
    [
        ("1 2 3", "its runs are 3 numbers"),
        ("-1", "'-1' are not whole numbers"),
        ("1.5 2", "not whole numbers"),
        ("1_0 2", "not whole numbers"),
        ("x", "not whole numbers"),
        ("99999999999 1", "not whole numbers"),
        ("0 2", "starts at pixel 0"),
        ("3 0", "a length of 0"),
        ("5 2 1 2", "run from pixel 1 begins before the one before it ends"),
        ("1 3 3 1", "run from pixel 3 begins before"),
    ],
)
def test_wrong_runs_are_refused_with_their_row(tmp_path, runs, problem):
    table = f"ImageId,EncodedPixels\nb,1 1\na,1 1\na,{runs}\n"
    pairing = find(tmp_path, table, "a.png", "b.png")
    error = only_error(pairing)
    assert problem in error.problem
    assert error.where == f"{tmp_path / 'train.csv'}[a.png], row 3"
    assert [pair.id for pair in pairing.pairs] == ["b"]
    assert pairing.unlabelled == {}


def test_runs_that_touch_are_allowed():
    np.testing.assert_array_equal(
        RunPairs("1 2 3 1").pixels((4, 1), "x").ravel(), [True, True, True, False]
    )


def test_run_beyond_the_image_is_refused_when_it_is_drawn(tmp_path):
    pairing = find(tmp_path, "ImageId,EncodedPixels\na,1 1\na,5 3\n", "a.png")
    annotation = pairing.pairs[0].annotation
    assert annotation.draw((7, 1), TWO, ENOUGH).instances.max() == 2
    with pytest.raises(InputError, match="ends at pixel 7, but the image has 6") as caught:
        annotation.draw((2, 3), TWO, ENOUGH)
    assert caught.value.where.endswith("[a.png], row 2")


def test_object_without_class_is_refused(tmp_path):
    table = "ImageId,EncodedPixels,c\na,1 1,\nb,1 1,x\n"
    pairing = find(tmp_path, table, "a.png", "b.png", class_column="c")
    assert only_error(pairing).problem == "its object has no class"
    assert [pair.id for pair in pairing.pairs] == ["b"]


def test_missing_image_is_refused_once(tmp_path):
    table = "ImageId,EncodedPixels\nx,1 1\na,1 1\nx,3 1\n../a,1 1\n"
    pairing = find(tmp_path, table, "a.png")
    assert [error.where for error in pairing.refused] == [
        f"{tmp_path / 'train.csv'}, image '../a'",
        f"{tmp_path / 'train.csv'}, image 'x'",
    ]
    assert pairing.refused[1].problem == "there is no such image in the folder 'images'"
    assert [pair.id for pair in pairing.pairs] == ["a"]


def test_id_that_stands_for_two_images_is_refused(tmp_path):
    table = "ImageId,EncodedPixels\na,1 1\nb.png,1 1\n"
    pairing = find(tmp_path, table, "a.png", "a.tif", "b.png", "c.webp")
    assert [error.problem for error in pairing.refused] == [
        "no reader knows .webp files",
        "several images have this name: a.png, a.tif",
    ]
    assert [pair.id for pair in pairing.pairs] == ["b"]
    assert pairing.unlabelled == {}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("Image,EncodedPixels\na,1 1\n", r"no column 'ImageId'\. Its columns: 'Image', 'Enc"),
        ("ImageId,pixels\na,1 1\n", "no column 'EncodedPixels'"),
        ("ImageId,EncodedPixels\na,1 1,x\n", "rows have more fields than its header"),
        ("ImageId,EncodedPixels\na,1 1\na,1 1,x\n", "it is not a CSV table"),
        ("ImageId,EncodedPixels\n,1 1\n", "row 1 names no image"),
        ("", "it is not a CSV table"),
    ],
)
def test_wrong_table_is_refused_as_a_whole(tmp_path, table, message):
    with pytest.raises(InputError, match=message) as caught:
        find(tmp_path, table, "a.png")
    assert caught.value.where == str(tmp_path / "train.csv")


def test_missing_and_binary_tables_are_refused(tmp_path):
    listing = make(tmp_path, "", "a.png")
    with pytest.raises(InputError, match="no such file"):
        find_rle_table(listing, table="other.csv")
    (tmp_path / "train.csv").write_bytes(b"ImageId,EncodedPixels\n\xff\xfe,1 1\n")
    with pytest.raises(InputError, match="it is not written in UTF-8"):
        find_rle_table(listing, table="train.csv")


def test_mutated_tables_end_in_pairs_or_in_an_input_error(tmp_path):
    whole = b'ImageId,EncodedPixels,c\n"a",1 2 6 3,x\nb.png,,y\na,3 2 9 4,"x"\nb,12 1,y\n'
    listing = make(tmp_path, "", "a.png", "b.png")
    generator = np.random.default_rng(3)
    drawn = refused = 0
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(generator.integers(1, 4)):
            place = int(generator.integers(len(data)))
            if generator.random() < 0.4:
                del data[place : place + int(generator.integers(1, 10))]
            else:
                data[place] ^= 1 << int(generator.integers(8))
        (tmp_path / "train.csv").write_bytes(data)
        try:
            pairing = find_rle_table(listing, table="train.csv", class_column="c")
            for pair in pairing.pairs:
                pair.annotation.draw((3, 4), NAMED, ENOUGH)
                drawn += 1
        except InputError:
            refused += 1
    assert drawn > 50
    assert refused > 30
