import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.images import touch_images
from unetflow.annotations.class_map import ClassMap
from unetflow.annotations.layouts.object_masks import find_object_masks
from unetflow.config.classes import ClassSpec
from unetflow.core.errors import InputError
from unetflow.io.file_listing import list_files
from unetflow.io.formats.readers import read_image

MANY = 10**6
CLASS_MAP = ClassMap((ClassSpec("background", (0,)), ClassSpec("nucleus", (255,))))
OBJECTS = [
    ["##...", "##...", "....."],
    [".....", ".###.", "....."],
    ["....#", ".....", "....."],
]
NUMBERS = [[1, 1, 0, 0, 3], [1, 2, 2, 2, 0], [0, 0, 0, 0, 0]]
"""The objects drawn one over the other by hand: the second covers a pixel of the first."""


def save(path: Path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path)


def save_mask(path: Path, rows):
    save(path, [[255 * (pixel == "#") for pixel in row] for row in rows])


def find(root, **options):
    return find_object_masks(list_files(Path(root)), **options)


def only_error(pairing):
    (error,) = pairing.refused
    return error


def everything_in(*folders):
    return {path for folder in folders for path in Path(folder).rglob("*")}


@pytest.fixture
def data_set(tmp_path):
    root = tmp_path / "data"
    save(root / "b7/images/b7.png", np.arange(15).reshape(3, 5))
    for number, rows in enumerate(OBJECTS):
        save_mask(root / f"b7/masks/{number}.png", rows)
    save(root / "a10/images/a10.png", np.zeros((2, 2)))
    save_mask(root / "a10/masks/x.png", ["#.", ".."])
    save(root / "a9/images/a9.png", np.zeros((2, 2)))
    return root


@pytest.mark.parametrize("packed", [False, True])
def test_objects_are_numbered_and_overlap_is_counted(data_set, tmp_path, packed, monkeypatch):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    root = shutil.make_archive(str(tmp_path / "packed"), "zip", data_set) if packed else data_set
    before = everything_in(tmp_path)
    pairing = find(root)
    assert pairing.refused == []
    assert [pair.id for pair in pairing.pairs] == ["a10", "b7"]
    pair = pairing.pairs[1]
    image = read_image(pair.image.file, MANY)
    np.testing.assert_array_equal(image[:, :, 0], np.arange(15).reshape(3, 5))
    drawn = pair.annotation.draw((3, 5), CLASS_MAP, MANY)
    np.testing.assert_array_equal(drawn.instances, NUMBERS)
    np.testing.assert_array_equal(drawn.label, np.array(NUMBERS) > 0)
    assert drawn.overlap == 1
    assert (drawn.label.dtype, drawn.instances.dtype) == (np.uint8, np.uint16)
    # Nothing is unpacked: neither beside the archive nor where temporary files go.
    assert everything_in(tmp_path) == before


def test_an_image_without_masks_is_unlabelled(data_set):
    pairing = find(data_set)
    assert list(pairing.unlabelled) == ["a9"]
    assert [pair.annotation.content for pair in pairing.pairs] == ["objects", "objects"]
    assert pairing.unlabelled["a9"].file == data_set / "a9/images/a9.png"


def test_folders_may_have_other_names_and_lie_deeper(tmp_path):
    touch_images(tmp_path, "train/1/photo/1.tif", "train/1/cells/a.tif", "train/1/notes/b.png")
    pairing = find(tmp_path, images="photo/", masks="cells")
    assert [(pair.id, pair.annotation.files) for pair in pairing.pairs] == [
        ("train/1", (tmp_path / "train/1/cells/a.tif",))
    ]


def test_several_images_in_one_folder_are_refused(data_set):
    touch_images(data_set, "b7/images/again.png")
    pairing = find(data_set)
    assert [pair.id for pair in pairing.pairs] == ["a10"]
    assert only_error(pairing).where == str(data_set / "b7/images")
    assert only_error(pairing).problem == "it holds 2 images instead of one"


def test_masks_without_image_are_refused(data_set):
    touch_images(data_set, "c/masks/1.png")
    pairing = find(data_set)
    assert only_error(pairing).where == str(data_set / "c/masks")
    assert only_error(pairing).problem == "there are masks, but no image in c/images"


def test_an_unsupported_format_is_refused(data_set):
    touch_images(data_set, "d/images/d.czi", "d/elsewhere/d.czi")
    pairing = find(data_set)
    assert only_error(pairing).where == str(data_set / "d/images/d.czi")


def test_data_without_the_folders_are_refused(tmp_path):
    touch_images(tmp_path, "images/1.png", "masks/1.png")
    with pytest.raises(InputError, match=r"no folder <id>/images with an image in it"):
        find(tmp_path)


def test_images_and_masks_in_folders_of_one_name_are_refused(data_set):
    with pytest.raises(InputError, match="images and masks are both in folders called 'masks'"):
        find(data_set, images="masks")


def test_an_empty_mask_is_refused(data_set):
    save_mask(data_set / "b7/masks/1.png", ["....."] * 3)
    pair = find(data_set).pairs[1]
    with pytest.raises(InputError, match="the mask is empty") as caught:
        pair.annotation.draw((3, 5), CLASS_MAP, MANY)
    assert caught.value.where == str(data_set / "b7/masks/1.png")


def test_a_mask_of_another_size_is_refused_with_both_sizes(data_set):
    save_mask(data_set / "b7/masks/1.png", ["#..."] * 2)
    with pytest.raises(InputError, match="the mask is 4 x 2, but its image is 5 x 3"):
        find(data_set).pairs[1].annotation.draw((3, 5), CLASS_MAP, MANY)


def test_objects_belong_to_the_class_beside_the_background(data_set):
    classes = (ClassSpec("background", (0,)), ClassSpec("a", (1,)), ClassSpec("b", (2,)))
    annotation = find(data_set).pairs[0].annotation
    with pytest.raises(InputError, match="`classes` lists 3") as caught:
        annotation.draw((2, 2), ClassMap(classes), MANY)
    assert caught.value.where == str(data_set / "a10/masks")
