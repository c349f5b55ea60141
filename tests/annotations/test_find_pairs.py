import shutil
import zipfile

import pytest

from tests.support.images import touch_images
from unetflow.annotations.layouts.find_pairs import LAYOUTS, find_pairs
from unetflow.core.errors import InputError


def only_error(pairing):
    (error,) = pairing.refused
    return error


@pytest.fixture
def given_splits(tmp_path):
    touch_images(tmp_path, "train/1.png", "train/2.png", "train_masks/1.png", "train_masks/2.png")
    return touch_images(tmp_path, "val/1.png", "val_masks/1.png")


def test_each_split_has_its_own_options_and_begins_its_ids(given_splits):
    splits = {
        "train": {"images": "train", "masks": "train_masks"},
        "val": {"images": "val", "masks": "val_masks"},
    }
    pairing = find_pairs(given_splits, "folders", {}, splits)
    assert pairing.refused == []
    assert [(p.id, p.split, str(p.annotation.where)) for p in pairing.pairs] == [
        ("train/1", "train", str(given_splits / "train_masks/1.png")),
        ("train/2", "train", str(given_splits / "train_masks/2.png")),
        ("validation/1", "validation", str(given_splits / "val_masks/1.png")),
    ]


def test_options_beside_the_splits_apply_to_all(tmp_path):
    touch_images(tmp_path, "a/x_i.png", "a/x_m.png", "b/y_i.png", "b/y_m.png")
    patterns = {"image_pattern": "(.+)_i", "mask_pattern": "(.+)_m"}
    splits = {
        "training": {"images": "a", "masks": "a"},
        "testing": {"images": "b", "masks": "b"},
    }
    pairing = find_pairs(tmp_path, "folders", patterns, splits)
    assert [(p.id, p.split) for p in pairing.pairs] == [
        ("train/x_i", "train"),
        ("test/y_i", "test"),
    ]


def test_without_splits_pairs_have_none(given_splits):
    pairing = find_pairs(given_splits, "folders", {"images": "val", "masks": "val_masks"})
    assert [(p.id, p.split) for p in pairing.pairs] == [("1", None)]


def test_images_without_annotation_keep_their_split(tmp_path):
    touch_images(tmp_path, "s1/a/images/a.png", "s1/b/images/b.png", "s1/b/masks/1.png")
    touch_images(tmp_path, "s2/a/pictures/a.png", "s2/c/pictures/c.png", "s2/c/masks/1.png")
    splits = {"train": {"images": "images"}, "test": {"images": "pictures"}}
    pairing = find_pairs(tmp_path, "objects", {}, splits)
    assert list(pairing.unlabelled) == ["train/s1/a", "test/s2/a"]
    assert [pair.id for pair in pairing.pairs] == ["train/s1/b", "test/s2/c"]


@pytest.mark.parametrize("name", ["hold-out", "trian"])
def test_an_unknown_split_is_refused(given_splits, name):
    with pytest.raises(InputError, match=f"'{name}' is not a split. Use train, validation, test"):
        find_pairs(given_splits, "folders", {}, {name: {"images": "val", "masks": "val_masks"}})


def test_one_split_under_two_names_is_refused(given_splits):
    options = {"images": "val", "masks": "val_masks"}
    with pytest.raises(InputError, match="it has 'validation' twice"):
        find_pairs(given_splits, "folders", {}, {"val": options, "validation": options})


@pytest.mark.parametrize("differing", [None, "val", ["val"]])
def test_a_split_without_options_is_refused(given_splits, differing):
    with pytest.raises(InputError, match="is not a list of options") as caught:
        find_pairs(given_splits, "folders", {}, {"val": differing})
    assert caught.value.where == "splits.val"


def test_ids_that_differ_only_in_case_are_refused(tmp_path):
    # Not on a disk, since there are some that cannot tell such names apart.
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("images/A.png", "images/a.png", "masks/A.png", "masks/a.png"):
            archive.writestr(name, b"")
    pairing = find_pairs(tmp_path / "a.zip", "folders", {})
    assert [pair.id for pair in pairing.pairs] == ["A"]
    assert only_error(pairing).where == str(tmp_path / "a.zip/images/a.png")
    assert "the same name 'a'" in only_error(pairing).problem


def test_files_that_must_not_be_opened_are_named_once(tmp_path):
    touch_images(tmp_path / "data", "train/1.png", "masks/1.png", "val/2.png", "masks2/2.png")
    (tmp_path / "secret.png").touch()
    (tmp_path / "data/train/link.png").symlink_to(tmp_path / "secret.png")
    splits = {
        "train": {"images": "train", "masks": "masks"},
        "val": {"images": "val", "masks": "masks2"},
    }
    pairing = find_pairs(tmp_path / "data", "folders", {}, splits)
    assert [pair.id for pair in pairing.pairs] == ["train/1", "validation/2"]
    assert "symbolic link" in only_error(pairing).problem


@pytest.mark.parametrize(
    ("layout", "fix"),
    [
        ("folder", "Did you mean 'folders'"),
        ("Coco", "Did you mean 'coco'"),
        ("x", "Known: folders"),
    ],
)
def test_an_unknown_layout_is_refused(tmp_path, layout, fix):
    with pytest.raises(InputError, match=f"there is no layout '{layout}'. {fix}") as caught:
        find_pairs(tmp_path, layout, {})
    assert caught.value.where == "layout"


@pytest.mark.parametrize(
    ("option", "fix"),
    [
        ("mask", "Did you mean 'masks'"),
        ("imagepattern", "Did you mean 'image_pattern'"),
        ("listing", "Known: images, masks"),
        ("zzz", "Known: images, masks"),
    ],
)
@pytest.mark.parametrize("in_splits", [False, True])
def test_an_unknown_option_is_refused(tmp_path, option, fix, in_splits):
    touch_images(tmp_path, "a.png")
    options = {} if in_splits else {option: "x"}
    splits = {"train": {option: "x"}} if in_splits else None
    with pytest.raises(InputError, match=f"there is no such parameter. {fix}") as caught:
        find_pairs(tmp_path, "folders", options, splits)
    assert caught.value.where == f"folders.{option}"


@pytest.mark.parametrize(
    ("layout", "options", "where", "problem"),
    [
        ("folders", {"images": 2018}, "images", "2018 is not allowed"),
        ("folders", {"masks": None}, "masks", "None is not allowed"),
        ("stacks", {"instances": "yes"}, "instances", "'yes' is not allowed"),
        ("coco", {"images": "images"}, "annotations", "the parameter is missing"),
        ("rle", {}, "table", "the parameter is missing"),
    ],
)
def test_an_option_that_is_wrong_or_missing_is_refused(tmp_path, layout, options, where, problem):
    with pytest.raises(InputError, match=problem) as caught:
        find_pairs(tmp_path, layout, options)
    assert caught.value.where == f"{layout}.{where}"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_refuses_a_folder_without_its_files(tmp_path, layout):
    touch_images(tmp_path, "notes.txt")
    needed = {"coco": {"annotations": "a.json"}, "rle": {"table": "a.csv"}}
    with pytest.raises(InputError) as caught:
        find_pairs(tmp_path, layout, needed.get(layout, {}))
    assert str(tmp_path) in caught.value.where


def test_a_missing_path_is_refused(tmp_path):
    with pytest.raises(InputError, match="there is no such folder or archive"):
        find_pairs(tmp_path / "nowhere", "folders", {})


def test_an_archive_of_another_kind_is_refused(tmp_path):
    touch_images(tmp_path / "data", "images/1.png", "masks/1.png")
    path = shutil.make_archive(str(tmp_path / "data"), "gztar", tmp_path / "data")
    with pytest.raises(InputError, match="cannot be read as a zip archive"):
        find_pairs(type(tmp_path)(path), "folders", {})


def test_splits_and_layouts_of_another_type_are_refused(given_splits):
    with pytest.raises(InputError, match=r"\['train'\] does not assign options to splits"):
        find_pairs(given_splits, "folders", {}, ["train"])
    with pytest.raises(InputError, match=r"no layout '3'\. Known: folders, objects"):
        find_pairs(given_splits, 3, {})
