import io
from functools import cache

import numpy as np
import pandas as pd
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage
from scipy.sparse.csgraph import connected_components

from unetflow.data.duplicates import MIN_CORRELATION, find_duplicates, find_leaks, make_thumbnail
from unetflow.data.synthetic import draw_nuclei
from unetflow.io.formats.readers import read_image
from unetflow.io.image_hash import perceptual_hash, pixel_digest

USUAL_DISTANCE = 8


@cache
def nuclei(number, size=128):
    return draw_nuclei(size, np.random.default_rng(number)).image[:, :, np.newaxis]


def fundus(number, left=0):
    """Make up a bright disk in a dark frame, with faint structure that differs."""
    structure = ndimage.gaussian_filter(np.random.default_rng(number).normal(size=(128, 128)), 2)
    rows, columns = np.mgrid[:128, :128] - 63.5
    light = 150 + 0.6 * columns + 0.3 * rows + 8 * structure / structure.std()
    light = light[:, ::-1] if left else light
    inside = np.hypot(rows + 6, columns + (6 if left else -6)) < 52
    return np.where(inside, light, 10).astype(np.uint8)[:, :, np.newaxis]


def to_8_bit(image):
    grey = image.astype(np.float64)
    return ((grey - grey.min()) / (grey.max() - grey.min()) * 255).astype(np.uint8)


def through_jpeg(image, quality=60):
    packed = io.BytesIO()
    Image.fromarray(to_8_bit(image)[:, :, 0]).save(packed, "JPEG", quality=quality)
    return np.asarray(Image.open(packed))[:, :, np.newaxis]


def half_size(image):
    height, width, channels = image.shape
    blocks = image.reshape(height // 2, 2, width // 2, 2, channels)
    return blocks.mean(axis=(1, 3)).astype(np.float32)


CHANGES = {
    "compressed": through_jpeg,
    "8 bit": to_8_bit,
    "darker": lambda image: (image * 0.4 + 30).astype(image.dtype),
    "stretched": lambda image: np.clip(image.astype(np.float32) - 420, 0, None) * 7,
    "in colour": lambda image: np.repeat(to_8_bit(image), 3, axis=2),
    "smaller": half_size,
    "shifted by one": lambda image: image[1:, :-1],
    "shifted by two": lambda image: image[2:, 2:],
}


def pictures_of(images):
    return lambda i: make_thumbnail(images[i])


def describe(images):
    return pd.DataFrame(
        {
            "id": list(images),
            "pixel_digest": [pixel_digest(image) for image in images.values()],
            "perceptual_hash": [perceptual_hash(image) for image in images.values()],
        }
    )


def pairs_of(images, distance=USUAL_DISTANCE):
    found = find_duplicates(describe(images), pictures_of(images), distance)
    return list(zip(found["first"], found["second"], found["kind"], strict=True))


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_found(change):
    originals = {str(number): nuclei(number, 192) for number in range(20)}
    copies = {f"copy of {name}": CHANGES[change](image) for name, image in originals.items()}
    expected = {(name, f"copy of {name}", "nearly the same") for name in originals}
    assert set(pairs_of(originals | copies)) == expected


def test_100_different_images_give_no_pair():
    images = {str(number): nuclei(number) for number in range(100)}
    assert pairs_of(images, distance=20) == []


@pytest.mark.parametrize("sides", [1, 2])
def test_a_frame_that_all_images_share_does_not_make_them_the_same(sides):
    images = {str(number): fundus(number, left=number % sides) for number in range(60)}
    one_side = list(images.values())[::sides]
    assert np.corrcoef([image.ravel() for image in one_side]).min() > MIN_CORRELATION
    hashes = [int(perceptual_hash(image), 16) for image in one_side]
    assert max((a ^ b).bit_count() for a in hashes for b in hashes) <= USUAL_DISTANCE
    images["copy"] = through_jpeg(images["3"])
    assert pairs_of(images) == [("3", "copy", "nearly the same")]


def test_spots_that_a_shift_moves_out_of_the_overlap_are_not_duplicates():
    images = {name: np.zeros((150, 130, 1), np.float32) for name in ("first", "last")}
    images["first"][:3, :3], images["last"][-3:, -3:] = 0.3, 0.7
    assert pairs_of(images, distance=64) == []


def test_hot_pixels_do_not_make_dark_images_the_same():
    noise = np.random.default_rng(0).normal(400, 20, (6, 128, 128, 1)).astype(np.uint16)
    noise[:, [20, 90], [70, 30]] = 60_000
    plain = np.corrcoef([half_size(half_size(image)).ravel() for image in noise])
    assert plain.min() > MIN_CORRELATION
    assert pairs_of({str(number): image for number, image in enumerate(noise)}, 64) == []


def test_small_series_without_motion_is_all_duplicates():
    still = nuclei(1)
    noise = np.random.default_rng(0).integers(0, 9, (6, *still.shape), np.uint16)
    images = {str(number): still + noise[number] for number in range(6)}
    assert pairs_of(images) == [("0", str(number), "nearly the same") for number in range(1, 6)]


def test_repeated_exposures_among_other_images_are_found():
    noise = np.random.default_rng(0).integers(0, 9, (6, 128, 128, 1), np.uint16)
    images = {f"again {number}": nuclei(99) + noise[number] for number in range(6)}
    images |= {str(number): nuclei(number) for number in range(20)}
    assert pairs_of(images) == [
        ("again 0", f"again {number}", "nearly the same") for number in range(1, 6)
    ]


def test_identical_images_are_each_listed_with_the_first():
    images = {"a": nuclei(1), "b": nuclei(2), **{str(number): nuclei(1) for number in range(50)}}
    table = describe(images)
    found = find_duplicates(table, pictures_of(images), 0)
    assert found["first"].tolist() == ["a"] * 50
    assert found["second"].tolist() == [str(number) for number in range(50)]
    assert set(found["kind"]) == {"identical pixels"}
    assert set(found["distance"]) == {0}
    assert set(found["correlation"]) == {1.0}


def refuse_to_open(_):
    raise AssertionError


@pytest.mark.parametrize(("values", "kind"), [((0, 7), np.uint8), ((0.1, 70609.6), np.float32)])
def test_images_of_one_value_are_the_same_only_if_identical(values, kind):
    low, high = (np.full((137, 172, 6), value, kind) for value in values)
    table = describe({"low": low, "high": high, "again": low.copy()})
    found = find_duplicates(table, refuse_to_open, 64)
    assert found[["first", "second", "kind"]].to_numpy().tolist() == [
        ["low", "again", "identical pixels"]
    ]


@pytest.mark.parametrize("step", [(0, 8), (8, 0), (0, -8), (-8, 0)])
def test_images_shifted_by_a_sixteenth_are_duplicates(step):
    images = {}
    for number in range(10):
        noise = np.random.default_rng(number).normal(size=(160, 160, 1))
        scene = to_8_bit(ndimage.gaussian_filter(noise, (12, 12, 0)))
        images[str(number)] = scene[16:144, 16:144]
        images[f"copy of {number}"] = scene[
            16 + step[0] : 144 + step[0], 16 + step[1] : 144 + step[1]
        ]
    assert pairs_of(images, distance=24) == [
        (str(number), f"copy of {number}", "nearly the same") for number in range(10)
    ]


def test_one_bright_spot_in_the_dark_has_contrast():
    dark = np.zeros((128, 128, 1), np.uint16)
    left, right = dark.copy(), dark.copy()
    left[:4, :4], right[90:94, 100:104] = 900, 900
    brighter = left * 3
    assert pairs_of({"left": left, "right": right, "brighter": brighter}) == [
        ("left", "brighter", "nearly the same")
    ]


def test_no_thumbnail_is_loaded_without_similar_hashes():
    table = describe({str(number): nuclei(number) for number in range(5)})
    assert len(find_duplicates(table, refuse_to_open, 2)) == 0
    assert len(find_duplicates(table[:0], refuse_to_open, 2)) == 0


@given(st.lists(st.integers(0, 255), min_size=1, max_size=30), st.integers(0, 3))
def test_similar_hashes_are_linked_as_by_comparing_all_pairs(numbers, distance):
    picture = nuclei(0, 64)
    ids = [str(place) for place in range(len(numbers))]
    hashes = [f"{number + 2**60:016x}" for number in numbers]
    table = pd.DataFrame({"id": ids, "pixel_digest": ids, "perceptual_hash": hashes})
    found = find_duplicates(table, lambda _: make_thumbnail(picture), distance)
    near = np.array([[(a ^ b).bit_count() <= distance for b in numbers] for a in numbers])
    count, expected = connected_components(near)
    linked = np.eye(len(ids), dtype=bool)
    for row in found.itertuples():
        linked[int(row.first), int(row.second)] = True
        assert row.distance == (numbers[int(row.first)] ^ numbers[int(row.second)]).bit_count()
        assert row.correlation == pytest.approx(1, abs=1e-5)
    np.testing.assert_array_equal(connected_components(linked, directed=False)[1], expected)
    assert len(found) == len(ids) - count


@pytest.mark.parametrize("channels", [1, 2, 3, 7])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_hash_of_64_bits_hardly_depends_on_brightness(kind, channels):
    image = np.repeat(to_8_bit(nuclei(3)), channels, axis=2).astype(kind)
    digits = perceptual_hash(image)
    assert len(digits) == 16
    assert int(digits, 16).bit_count() == 32
    darker = perceptual_hash((image // 2 + 20).astype(kind))
    assert (int(digits, 16) ^ int(darker, 16)).bit_count() <= 2


def test_same_pixels_in_another_file_format_have_the_same_digest(tmp_path):
    pixels = nuclei(4)
    Image.fromarray(pixels[:, :, 0]).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "b.tif", pixels[:, :, 0], byteorder=">", compression="zlib")
    digests = {pixel_digest(read_image(tmp_path / name)) for name in ("a.png", "b.tif")}
    assert digests == {pixel_digest(pixels), pixel_digest(pixels.astype(">u2"))}
    assert len(digests.pop()) == 64


def test_digest_depends_on_shape_type_and_pixels():
    image = np.arange(24, dtype=np.uint8).reshape(4, 6, 1)
    others = [
        image.reshape(6, 4, 1),
        image.reshape(4, 2, 3),
        image.reshape(4, 1, 6).view(np.uint16).reshape(4, 3, 1),
        image.astype(np.float32),
        image[::-1],
    ]
    assert len({pixel_digest(other) for other in (image, *others)}) == 6
    assert pixel_digest(image[:, ::-1][:, ::-1]) == pixel_digest(image)


def duplicates(*pairs):
    rows = [(*pair, "nearly the same", 2, 0.99) for pair in pairs]
    return pd.DataFrame(rows, columns=["first", "second", "kind", "distance", "correlation"])


def test_leaks_are_duplicates_and_groups_in_several_splits():
    table = pd.DataFrame(
        [
            ("a1", "a", "test"),
            ("a2", "a", "train"),
            ("a3", "a", "train"),
            ("b1", "b", "validation"),
            ("b2", "b", "validation"),
            ("c1", "c", "train"),
            ("d1", "d", "validation"),
            ("d2", "d", "test"),
            ("d3", "d", "train"),
        ],
        columns=["id", "group", "split"],
    )
    found = find_leaks(table, duplicates(("b1", "c1"), ("b1", "b2"), ("c1", "gone")))
    assert found.columns.tolist() == ["kind", "first", "second", "first_split", "second_split"]
    assert [tuple(row) for row in found.to_numpy()] == [
        ("nearly the same", "b1", "c1", "validation", "train"),
        ("same group", "a2", "a1", "train", "test"),
        ("same group", "d3", "d1", "train", "validation"),
        ("same group", "d3", "d2", "train", "test"),
        ("same group", "d1", "d2", "validation", "test"),
    ]


def test_without_leaks_the_table_is_empty_but_has_its_columns():
    table = pd.DataFrame({"id": ["a", "b"], "group": ["a", "b"], "split": ["train", "train"]})
    found = find_leaks(table, duplicates(("a", "b")))
    assert len(found) == 0
    assert "second_split" in found
