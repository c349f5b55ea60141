import shutil

import numpy as np
import pytest
import tifffile

from tests.support.images import random_pixels
from unetflow.annotations.class_map import ClassMap
from unetflow.annotations.layouts.folders import find_stacks
from unetflow.annotations.raster import InstanceMask, SemanticMask, SourceImage
from unetflow.config.classes import ClassSpec
from unetflow.core.errors import InputError
from unetflow.io.file_listing import list_files
from unetflow.io.formats.readers import read_image

MANY = 10**6
CLASS_MAP = ClassMap((ClassSpec("background", (0,)), ClassSpec("cell", None)))


def write(path, pages=4, axes="ZYX", shape=(6, 5), seed=0, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = random_pixels((pages, *shape), seed=seed)
    metadata = {"axes": axes}
    tifffile.imwrite(path, pixels, photometric="minisblack", metadata=metadata, **options)
    return pixels


def find(root, **options):
    return find_stacks(list_files(root), **options)


def ids(pairing):
    return [pair.id for pair in pairing.pairs]


def only_error(pairing):
    (error,) = pairing.refused
    return error


@pytest.fixture
def two_stacks(tmp_path):
    for name, pages in (("b10", 2), ("b2", 3)):
        write(tmp_path / "images" / f"{name}.tif", pages)
        write(tmp_path / "masks" / f"{name}.tiff", pages, seed=1)
    return tmp_path


def test_each_page_of_a_stack_is_a_pair_and_the_stack_is_its_group(two_stacks):
    pairing = find(two_stacks)
    assert pairing.refused == []
    assert [(pair.id, pair.group) for pair in pairing.pairs] == [
        *((f"b2/{page:03}", "b2") for page in range(3)),
        *((f"b10/{page:03}", "b10") for page in range(2)),
    ]
    page = pairing.pairs[1]
    assert page.image == SourceImage(two_stacks / "images/b2.tif", 1)
    assert page.annotation == SemanticMask(SourceImage(two_stacks / "masks/b2.tiff", 1))


@pytest.mark.parametrize("packed", [False, True])
def test_pages_of_images_and_masks_are_those_that_were_written(tmp_path, packed):
    images = write(tmp_path / "data/images/a.tif", compression="zlib")
    masks = write(tmp_path / "data/masks/a.tif", imagej=True, seed=1)
    root = tmp_path / "data"
    if packed:
        root = shutil.make_archive(str(tmp_path / "packed"), "zip", root)
    pairing = find(type(tmp_path)(root))
    assert len(pairing.pairs) == 4
    for pair, image, mask in zip(pairing.pairs, images, masks, strict=True):
        np.testing.assert_array_equal(
            read_image(pair.image.file, MANY, pair.image.page)[:, :, 0], image
        )
        drawn = pair.annotation.draw(image.shape, CLASS_MAP, MANY)
        np.testing.assert_array_equal(drawn.label, mask != 0)


def test_masks_may_number_objects(two_stacks):
    pairing = find(two_stacks, instances=True)
    assert pairing.pairs[2].annotation == InstanceMask(SourceImage(two_stacks / "masks/b2.tiff", 2))


def test_channels_are_not_pages(tmp_path):
    write(tmp_path / "images/a.ome.tif", 2, "ZCYX", (3, 6, 5), ome=True)
    write(tmp_path / "masks/a.ome.tif", 2)
    pairing = find(tmp_path)
    assert ids(pairing) == ["a.ome/000", "a.ome/001"]
    assert read_image(pairing.pairs[0].image.file, MANY, 0).shape == (6, 5, 3)


def test_a_page_without_any_object_is_labelled_too(tmp_path):
    write(tmp_path / "images/a.tif", 2)
    (tmp_path / "masks").mkdir()
    tifffile.imwrite(tmp_path / "masks/a.tif", np.zeros((2, 6, 5), np.uint8))
    pairing = find(tmp_path, instances=True)
    assert ids(pairing) == ["a/000", "a/001"]
    assert not pairing.unlabelled
    drawn = pairing.pairs[1].annotation.draw((6, 5), CLASS_MAP, MANY)
    assert not drawn.label.any()
    assert not drawn.instances.any()


def test_page_numbers_are_padded_to_the_last_one(tmp_path):
    for pages in (1, 1000, 1001):
        for folder in ("images", "masks"):
            write(tmp_path / folder / f"{pages}.tif", pages, shape=(2, 2))
    names = ids(find(tmp_path))
    assert names[:2] == ["1/000", "1000/000"]
    assert names[1000] == "1000/999"
    assert names[1001] == "1001/0000"
    assert names[-1] == "1001/1000"


@pytest.mark.parametrize("folder", ["", "deep/er/"])
def test_a_single_file_of_each_is_a_pair_whatever_their_names(tmp_path, folder):
    write(tmp_path / f"{folder}volume.tif", 2)
    write(tmp_path / f"{folder}labels.tif", 2)
    write(tmp_path / f"{folder}other.tif", 3)
    pairing = find(tmp_path, images=f"{folder}volume.tif", masks=f"{folder}labels.tif")
    assert pairing.refused == []
    assert ids(pairing) == ["volume/000", "volume/001"]
    assert pairing.pairs[0].annotation.files == (tmp_path / f"{folder}labels.tif",)


def test_a_single_file_is_paired_with_its_namesake_in_a_folder(tmp_path):
    write(tmp_path / "volume.tif", 2)
    write(tmp_path / "masks/volume.tif", 2)
    assert ids(find(tmp_path, images="volume.tif")) == ["volume/000", "volume/001"]


def test_the_mask_file_is_not_an_image_of_the_folder_around_it(tmp_path):
    write(tmp_path / "a.tif", 2)
    write(tmp_path / "labels.tif", 2)
    pairing = find(
        tmp_path, images=".", masks="labels.tif", image_pattern="(.)", mask_pattern="l(a)b"
    )
    assert pairing.refused == []
    assert ids(pairing) == ["a/000", "a/001"]


@pytest.mark.parametrize(
    ("images", "masks"), [(".", "masks"), ("images", "images/masks"), ("masks/images", "masks")]
)
def test_one_folder_may_lie_in_the_other(tmp_path, images, masks):
    write(tmp_path / images / "a.tif", 2)
    write(tmp_path / masks / "a.tif", 2)
    pairing = find(tmp_path, images=images, masks=masks)
    assert pairing.refused == []
    assert ids(pairing) == ["a/000", "a/001"]


def test_patterns_separate_images_from_masks_in_one_folder(tmp_path):
    for name in ("a_image", "a_mask", "b"):
        write(tmp_path / "both" / f"{name}.tif", 2)
    patterns = {"image_pattern": "(.+)_image", "mask_pattern": "(.+)_mask"}
    pairing = find(tmp_path, images="both", masks="both", **patterns)
    assert ids(pairing) == ["a_image/000", "a_image/001"]
    assert only_error(pairing).where == str(tmp_path / "both/b.tif")
    assert only_error(pairing).problem == "its name does not match the pattern"


@pytest.mark.parametrize("place", ["both", "both/", "both/a.tif"])
def test_images_that_would_be_their_own_masks_are_refused(tmp_path, place):
    write(tmp_path / "both/a.tif")
    with pytest.raises(InputError, match="images and masks are both 'both"):
        find(tmp_path, images=place, masks=place)


def test_different_numbers_of_pages_are_refused(two_stacks):
    write(two_stacks / "masks/b2.tiff", 4)
    pairing = find(two_stacks)
    assert ids(pairing) == ["b10/000", "b10/001"]
    assert only_error(pairing).where == str(two_stacks / "images/b2.tif")
    assert only_error(pairing).problem == "it has 3 pages, but its mask b2.tiff has 4"


@pytest.mark.parametrize("folder", ["images/b2.tif", "masks/b2.tiff"])
@pytest.mark.parametrize("content", [b"", b"II*\0" + b"\xff" * 50, b"\x89PNG\r\n\x1a\n"])
def test_a_file_that_cannot_be_read_does_not_stop_the_others(two_stacks, folder, content):
    (two_stacks / folder).write_bytes(content)
    pairing = find(two_stacks)
    assert ids(pairing) == ["b10/000", "b10/001"]
    assert only_error(pairing).where == str(two_stacks / folder)
    assert only_error(pairing).problem


def test_a_stack_without_partner_is_refused(two_stacks):
    (two_stacks / "masks/b2.tiff").unlink()
    write(two_stacks / "masks/c.tif")
    pairing = find(two_stacks)
    assert [(error.where, error.problem) for error in pairing.refused] == [
        (str(two_stacks / "images/b2.tif"), "there is no mask 'b2'"),
        (str(two_stacks / "masks/c.tif"), "there is no image 'c'"),
    ]


def test_a_file_that_is_not_a_tiff_is_refused(two_stacks):
    (two_stacks / "masks/b2.tiff").rename(two_stacks / "masks/b2.png")
    (two_stacks / "images/x.czi").touch()
    errors = {error.where: error for error in find(two_stacks).refused}
    assert errors[str(two_stacks / "masks/b2.png")].problem == "only a TIFF file is a stack"
    assert errors[str(two_stacks / "images/x.czi")].problem == "no reader knows .czi files"
    with pytest.raises(InputError, match="only a TIFF file is a stack"):
        find(two_stacks, images="images/x.czi")


def test_a_missing_folder_is_refused(two_stacks):
    with pytest.raises(InputError, match="no such folder"):
        find(two_stacks, masks="labels")
