import hashlib
import os
import zipfile
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from scipy import ndimage

from tests.support.images import CLASSES, random_pixels
from unetflow.annotations.class_map import ClassMap
from unetflow.annotations.layouts.find_pairs import find_pairs
from unetflow.annotations.raster import (
    InstanceMask,
    ObjectMasks,
    RasterAnnotation,
    SemanticMask,
    SourceImage,
)
from unetflow.annotations.records import Pair
from unetflow.config.classes import ClassSpec
from unetflow.core.errors import InputError
from unetflow.core.types import IGNORE
from unetflow.data.intensity import intensity_histogram
from unetflow.data.pair_reader import files_of, mask_digest, read_pair
from unetflow.io.image_hash import perceptual_hash, pixel_digest
from unetflow.io.tiff_writer import write_tiff

MEANING = ClassMap(
    (ClassSpec("background", (0,)), ClassSpec("cell", (1,)), ClassSpec("rim", (2,))), ignore=(9,)
)
TWO = ClassMap(tuple(CLASSES))


def write(path, pixels):
    write_tiff(path, np.asarray(pixels))
    return path


def pair_of(folder, mask, image=None, region=None, annotate=SemanticMask):
    mask = np.array(mask, np.uint8)
    image = random_pixels((*mask.shape, 1), np.uint16) if image is None else image
    return Pair(
        "a",
        SourceImage(write(folder / "image.tif", image)),
        annotate(SourceImage(write(folder / "mask.tif", mask))),
        None if region is None else write(folder / "region.tif", np.array(region, np.uint8)),
    )


def read(pair, class_map=MEANING):
    return read_pair(pair, class_map, max_pixels=100)


def describe(pair, class_map=MEANING):
    return read(pair, class_map).description


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def objects_of(folder, *masks):
    files = [write(folder / f"{n}.tif", np.array(m, np.uint8)) for n, m in enumerate(masks)]
    image = write(folder / "image.tif", np.zeros((*np.shape(masks[0]), 1), np.uint8))
    return Pair("a", SourceImage(image), ObjectMasks(tuple(files), str(folder)))


def test_hand_worked_description(tmp_path):
    image = np.arange(20, dtype=np.uint16).reshape(4, 5, 1)
    mask = [
        [1, 1, 0, 2, 0],
        [0, 0, 1, 0, 0],
        [9, 9, 0, 0, 2],
        [1, 0, 0, 2, 9],
    ]
    pair = pair_of(tmp_path, mask, image)
    os.utime(pair.image.file, (10**9, 10**9))
    assert describe(pair) == {
        "id": "a",
        "image_file": str(tmp_path / "image.tif"),
        "mask_file": str(tmp_path / "mask.tif"),
        "image_sha256": sha256(tmp_path / "image.tif"),
        "mask_sha256": sha256(tmp_path / "mask.tif"),
        "image_bytes": (tmp_path / "image.tif").stat().st_size,
        "changed": "2001-09-09T01:46:40+00:00",
        "height": 4,
        "width": 5,
        "channels": 1,
        "dtype": "uint16",
        "ignored": 3 / 20,
        "fraction_background": 10 / 17,
        "fraction_cell": 4 / 17,
        "fraction_rim": 3 / 17,
        "objects": 4,  # the three cells above touch at a corner, as do the two rims below
        "touching": None,
        "has_instances": False,
        "overlap": 0,
        "pixel_digest": pixel_digest(image),
        "perceptual_hash": perceptual_hash(image),
        "source_group": None,
        "source_split": None,
        "is_series": False,
    }


def test_the_pixels_are_those_of_the_files(tmp_path):
    image = random_pixels((3, 4, 3), np.uint16)
    mask = random_pixels((3, 4)) % 3
    described = read(pair_of(tmp_path, mask, image))
    np.testing.assert_array_equal(described.sample.image, image, strict=True)
    np.testing.assert_array_equal(described.sample.label, mask, strict=True)
    np.testing.assert_array_equal(described.histogram, intensity_histogram(image))
    assert described.instances is None


@given(
    hnp.arrays(
        np.uint8,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=7),
        elements=st.sampled_from([0, 1, 2, 9]),
    )
)
def test_objects_are_counted_as_connected_pixels_of_each_class(tmp_path_factory, mask):
    pair = pair_of(tmp_path_factory.mktemp("a"), mask)
    neighbours = np.ones((3, 3))
    assert describe(pair)["objects"] == sum(
        ndimage.label(mask == value, neighbours)[1] for value in (1, 2)
    )


def test_a_mask_of_ignored_pixels_has_fractions_of_0(tmp_path):
    description = describe(pair_of(tmp_path, [[9, 9]]))
    assert description["ignored"] == 1
    assert [description[f"fraction_{c.name}"] for c in MEANING.classes] == [0, 0, 0]


def test_group_and_split_of_the_source_are_described(tmp_path):
    pair = pair_of(tmp_path, [[0, 1]])
    known = Pair(pair.id, pair.image, pair.annotation, group="volume 1", split="test")
    description = describe(known)
    assert (description["source_group"], description["source_split"]) == ("volume 1", "test")


class TestObjectsOfTheSource:
    def test_are_counted_though_they_touch(self, tmp_path):
        pair = pair_of(tmp_path, [[5, 5, 7], [0, 7, 7]], annotate=InstanceMask)
        description = describe(pair, TWO)
        assert (description["objects"], description["has_instances"]) == (2, True)
        assert description["touching"] == 2
        assert description["fraction_nucleus"] == 5 / 6

    def test_are_counted_as_one_though_they_lie_apart(self, tmp_path):
        pair = pair_of(tmp_path, [[5, 0, 5]], annotate=InstanceMask)
        assert describe(pair, TWO)["objects"] == 1

    def test_may_overlap(self, tmp_path):
        pair = objects_of(tmp_path, [[1, 1, 1, 0]], [[0, 1, 1, 1]], [[0, 0, 1, 0]])
        described = read(pair, TWO)
        assert described.instances.tolist() == [[1, 2, 3, 2]]
        assert described.sample.label.tolist() == [[1, 1, 1, 1]]
        assert described.description["overlap"] == 2
        assert described.description["objects"] == 3

    def test_are_not_counted_where_others_cover_them(self, tmp_path):
        pair = objects_of(tmp_path, [[0, 1, 0]], [[1, 1, 1]])
        description = describe(pair, TWO)
        assert (description["objects"], description["overlap"]) == (1, 1)


class TestRegion:
    mask = ((1, 1, 0), (0, 2, 9))
    region = ((0, 255, 255), (0, 255, 255))

    def test_pixels_outside_are_ignored(self, tmp_path):
        described = read(pair_of(tmp_path, self.mask, region=self.region))
        expected = [[IGNORE, 1, 0], [IGNORE, 2, IGNORE]]
        assert described.sample.label.tolist() == expected
        assert described.description["ignored"] == 3 / 6
        assert described.description["fraction_cell"] == 1 / 3

    def test_the_image_stays_whole(self, tmp_path):
        image = random_pixels((2, 3, 1))
        described = read(pair_of(tmp_path, self.mask, image, self.region))
        np.testing.assert_array_equal(described.sample.image, image)

    def test_intensities_outside_are_not_counted(self, tmp_path):
        image = np.array([[10, 20, 30], [40, 50, 60]], np.uint8)[:, :, np.newaxis]
        described = read(pair_of(tmp_path, self.mask, image, self.region))
        assert described.histogram["value"].tolist() == [20, 30, 50, 60]

    def test_objects_outside_are_not_counted(self, tmp_path):
        mask = [[5, 5, 0], [7, 8, 8]]
        pair = pair_of(tmp_path, mask, region=self.region, annotate=InstanceMask)
        described = read(pair, TWO)
        assert described.instances.dtype == np.uint16
        assert described.instances.tolist() == [[0, 1, 0], [0, 3, 3]]
        assert described.sample.label.tolist() == [[IGNORE, 1, 0], [IGNORE, 1, 1]]
        assert described.description["objects"] == 2

    def test_empty_region_is_rejected(self, tmp_path):
        pair = pair_of(tmp_path, self.mask, region=np.zeros((2, 3)))
        with pytest.raises(InputError, match=r"region\.tif: no pixel counts"):
            read(pair)

    def test_region_of_several_values_needs_a_threshold(self, tmp_path):
        pair = pair_of(tmp_path, self.mask, region=((3, 255, 255), (3, 255, 255)))
        with pytest.raises(InputError, match=r"region\.tif: the region holds several values"):
            read(pair)
        soft = ClassMap((ClassSpec("a", (0,)), ClassSpec("b", None)), binarise_at=4)
        assert (read(pair, soft).sample.label[:, 0] == 255).all()
        assert (read(pair, soft).sample.label[:, 1:] != 255).all()

    def test_region_of_another_size_is_rejected(self, tmp_path):
        pair = pair_of(tmp_path, self.mask, region=np.ones((3, 2)))
        with pytest.raises(InputError, match=r"region\.tif: the mask is 2 x 3, but its image is 3"):
            read(pair)


def test_mask_of_another_size_is_refused_with_both_sizes(tmp_path):
    pair = pair_of(tmp_path, np.zeros((4, 3)), random_pixels((3, 4, 1)))
    with pytest.raises(InputError, match="the mask is 3 x 4, but its image is 4 x 3") as caught:
        read(pair)
    assert caught.value.where == str(tmp_path / "mask.tif")


@pytest.mark.parametrize("annotate", [SemanticMask, InstanceMask])
def test_limit_of_pixels_holds_for_image_mask_and_region(tmp_path, annotate):
    mask = np.zeros((3, 4), np.uint8)
    pair = pair_of(tmp_path, mask, region=np.ones((3, 4)), annotate=annotate)
    for file in files_of(pair):
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(file)
        with pytest.raises(InputError, match="4 x 4 pixels are more than the allowed 12") as caught:
            read_pair(pair, TWO, max_pixels=12)
        assert caught.value.where == str(file)
        write(file, mask)


class TestMaskDigest:
    def test_of_one_file_is_that_of_the_file(self, tmp_path):
        assert mask_digest(pair_of(tmp_path, [[0, 1]])) == sha256(tmp_path / "mask.tif")

    def test_changes_with_any_file_of_several(self, tmp_path):
        pair = objects_of(tmp_path, [[0, 1, 0]], [[1, 1, 1]])
        digests = {mask_digest(pair)}
        for file in pair.annotation.files:
            write(file, np.array([[3, 3, 3, 3]], np.uint8))
            digests.add(mask_digest(pair))
        assert len(digests) == 3

    def test_changes_with_the_region(self, tmp_path):
        pair = pair_of(tmp_path, [[0, 1]], region=[[1, 1]])
        before = mask_digest(pair)
        write(pair.region, np.array([[0, 1, 1]], np.uint8))
        assert mask_digest(pair) != before

    def test_changes_with_content_that_is_not_in_a_file(self, tmp_path):
        image = SourceImage(write(tmp_path / "a.tif", np.zeros((2, 2, 1), np.uint8)))
        pairs = [Pair("a", image, Noted(content)) for content in ("circle", "square")]
        assert mask_digest(pairs[0]) != mask_digest(pairs[1])


class Noted:
    """An annotation that was read with its table."""

    files = ()
    where = "table.csv"

    def __init__(self, content):
        self.content = content

    def draw(self, shape, class_map, max_pixels):
        return RasterAnnotation(np.zeros(shape, np.uint8))


def test_a_pair_in_an_archive_is_described_as_on_disk(tmp_path):
    for folder, pixels in (("images", random_pixels((3, 4, 1))), ("masks", np.eye(3, 4))):
        write(tmp_path / "disk" / folder / "a.tif", pixels.astype(np.uint8))
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in (tmp_path / "disk").rglob("*.tif"):
            archive.write(path, path.relative_to(tmp_path / "disk"))
    os.utime(tmp_path / "a.zip", (10**9, 10**9))
    on_disk, packed = (
        describe(find_pairs(tmp_path / place, "folders", {}).pairs[0])
        for place in ("disk", "a.zip")
    )
    differing = {name for name in on_disk if on_disk[name] != packed[name]}
    assert differing == {"image_file", "mask_file", "changed"}
    assert packed["image_file"] == f"{tmp_path / 'a.zip'}/images/a.tif"
    assert packed["changed"] == datetime.fromtimestamp(10**9, UTC).isoformat(timespec="seconds")
