import shutil

import pytest

from tests.support.images import touch_images
from unetflow.annotations.layouts.folders import find_folder_pairs
from unetflow.core.errors import InputError
from unetflow.io.file_listing import list_files


@pytest.fixture
def folders(tmp_path):
    return tmp_path / "images", tmp_path / "masks"


def find_pairs(images, masks, image_pattern=None, mask_pattern=None, **options):
    """Pair two folders of one root, given by their paths on disk."""
    root = images if images == masks else images.parent
    return find_folder_pairs(
        list_files(root),
        images=images.relative_to(root).as_posix(),
        masks=masks.relative_to(root).as_posix(),
        image_pattern=image_pattern,
        mask_pattern=mask_pattern,
        **options,
    )


def mask_of(pair):
    (mask,) = pair.annotation.files
    return mask


def only_error(pairing):
    (error,) = pairing.refused
    return error


def test_pairs_are_in_natural_order_regardless_of_extensions(folders):
    images = touch_images(folders[0], "10.png", "2.JPG", "1.tif", "sub/1.png")
    masks = touch_images(folders[1], "1.png", "2.png", "10.tiff", "sub/1.png")
    pairing = find_pairs(images, masks)
    assert pairing.refused == []
    assert [(p.id, p.image.file.name, mask_of(p).name) for p in pairing.pairs] == [
        ("1", "1.tif", "1.png"),
        ("2", "2.JPG", "2.png"),
        ("10", "10.png", "10.tiff"),
        ("sub/1", "1.png", "1.png"),
    ]
    assert mask_of(pairing.pairs[-1]) == masks / "sub" / "1.png"


def test_files_in_different_subfolders_do_not_pair(folders):
    images = touch_images(folders[0], "a/1.png", "b/1.png")
    masks = touch_images(folders[1], "a/1.png", "c/1.png")
    pairing = find_pairs(images, masks)
    assert [p.id for p in pairing.pairs] == ["a/1"]
    assert [e.where for e in pairing.refused] == [str(images / "b/1.png"), str(masks / "c/1.png")]


def test_only_the_last_extension_is_removed(folders):
    images = touch_images(folders[0], "a.1.png", "a.2.png")
    masks = touch_images(folders[1], "a.1.tif", "a.2.tif")
    assert [p.id for p in find_pairs(images, masks).pairs] == ["a.1", "a.2"]


def test_patterns_pair_what_their_groups_capture(folders):
    images = touch_images(folders[0], "21_training.tif", "3_training.tif")
    masks = touch_images(folders[1], "21_manual1.png", "3_manual1.png")
    pairing = find_pairs(images, masks, r"(\d+)_training", r"(\d+)_manual")
    assert pairing.refused == []
    assert [(p.id, mask_of(p).name) for p in pairing.pairs] == [
        ("3_training", "3_manual1.png"),
        ("21_training", "21_manual1.png"),
    ]


def test_patterns_pair_files_of_one_folder(tmp_path):
    folder = touch_images(tmp_path / "both", "a_image.png", "a_mask.png", "b_image.png")
    pairing = find_pairs(folder, folder, "(.+)_image", "(.+)_mask")
    assert [(p.image.file.name, mask_of(p).name) for p in pairing.pairs] == [
        ("a_image.png", "a_mask.png")
    ]
    assert only_error(pairing).where == str(folder / "b_image.png")


def test_all_groups_count_and_an_unused_group_is_empty(folders):
    images = touch_images(folders[0], "p1_t2.png", "p1_t3.png", "p1.png")
    masks = touch_images(folders[1], "m_p1_t2.png", "m_p1_t3.png", "m_p1.png")
    pattern = r"p(\d)(?:_t(\d))?"
    pairing = find_pairs(images, masks, pattern, pattern)
    assert [(p.image.file.name, mask_of(p).name) for p in pairing.pairs] == [
        (name, f"m_{name}") for name in ("p1.png", "p1_t2.png", "p1_t3.png")
    ]


def test_pattern_on_one_side_only(folders):
    images = touch_images(folders[0], "7.png")
    masks = touch_images(folders[1], "7_mask.png")
    assert [mask_of(p).name for p in find_pairs(images, masks, None, "(.+)_mask").pairs] == [
        "7_mask.png"
    ]


def test_image_without_mask_is_named_and_the_others_are_paired(folders):
    images = touch_images(folders[0], "1.png", "2.png")
    masks = touch_images(folders[1], "1.png")
    pairing = find_pairs(images, masks)
    assert [p.id for p in pairing.pairs] == ["1"]
    error = only_error(pairing)
    assert error.where == str(images / "2.png")
    assert error.problem == "there is no mask '2'"
    assert "Add the mask" in error.fix


def test_mask_without_image_is_named(folders):
    images = touch_images(folders[0], "1.png")
    masks = touch_images(folders[1], "1.png", "2.png", "2.tif")
    pairing = find_pairs(images, masks)
    assert [e.where for e in pairing.refused] == [str(masks / "2.png"), str(masks / "2.tif")]
    assert pairing.refused[0].problem == "there is no image '2'"


@pytest.mark.parametrize(
    ("image_names", "mask_names", "blamed"),
    [
        (["1.png", "1.tif", "2.png"], ["1.png", "2.png"], ["1.png", "1.tif"]),
        (["1.png", "2.png"], ["1.png", "1.tif", "2.png"], ["1.png"]),
    ],
    ids=["two images", "two masks"],
)
def test_files_that_share_a_name_are_refused(folders, image_names, mask_names, blamed):
    images, masks = touch_images(folders[0], *image_names), touch_images(folders[1], *mask_names)
    pairing = find_pairs(images, masks)
    assert [p.id for p in pairing.pairs] == ["2"]
    assert [e.where for e in pairing.refused] == [str(images / name) for name in blamed]
    assert "1.png, 1.tif" in pairing.refused[0].problem or "1.tif, 1.png" in str(pairing.refused[0])
    assert "all but one image and one mask" in pairing.refused[0].fix


def test_refusals_come_in_natural_order(folders):
    images = touch_images(folders[0], "10.png", "2.png", "1.png")
    masks = touch_images(folders[1], "1.png")
    assert [e.where for e in find_pairs(images, masks).refused] == [
        str(images / "2.png"),
        str(images / "10.png"),
    ]


def test_missing_folder_is_named(folders):
    touch_images(folders[0], "1.png")
    with pytest.raises(InputError, match=r"no such folder.*catalog") as caught:
        find_pairs(*folders)
    assert caught.value.where == str(folders[1])


def test_folder_without_images_is_refused_with_the_readable_extensions(folders):
    touch_images(folders[0], "a.txt", ".hidden.png")
    touch_images(folders[1], "a.png")
    (folders[0] / "folder.png").mkdir()
    with pytest.raises(InputError, match=r"holds no image \(\.png, \.jpg") as caught:
        find_pairs(*folders)
    assert caught.value.where == str(folders[0])


@pytest.mark.parametrize("parameter", ["image_pattern", "mask_pattern"])
@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (r"\d+_training", r"'\\d\+_training' has no group.*round brackets"),
        ("(", "is not a regular expression .*Correct it"),
        ("(a){99999999999}", "is not a regular expression .*Correct it"),
    ],
)
def test_wrong_pattern_is_refused_with_the_parameter(folders, parameter, pattern, message):
    images, masks = touch_images(folders[0], "1.png"), touch_images(folders[1], "1.png")
    with pytest.raises(InputError, match=message) as caught:
        find_pairs(images, masks, **{parameter: pattern})
    assert caught.value.where == parameter


def test_pattern_that_matches_nothing_is_refused_with_the_folder(folders):
    images, masks = touch_images(folders[0], "1.png"), touch_images(folders[1], "1.png")
    with pytest.raises(InputError, match=r"mask_pattern '\(x\)' matches none") as caught:
        find_pairs(images, masks, None, "(x)")
    assert caught.value.where == str(masks)
    assert "Correct mask_pattern" in caught.value.fix


def test_hidden_folders_are_not_searched(tmp_path):
    touch_images(tmp_path, "images/1.png", "masks/1.png", "images/.ipynb_checkpoints/1.png")
    pairing = find_pairs(tmp_path / "images", tmp_path / "masks")
    assert [pair.id for pair in pairing.pairs] == ["1"]
    assert not pairing.refused


def test_file_that_the_pattern_leaves_out_is_named(tmp_path):
    touch_images(tmp_path, "images/img_1.png", "images/IMG_2.png", "masks/mask_1.png")
    pairing = find_pairs(tmp_path / "images", tmp_path / "masks", r"img_(\d+)", r"mask_(\d+)")
    assert [pair.id for pair in pairing.pairs] == ["img_1"]
    assert [error.where for error in pairing.refused] == [str(tmp_path / "images/IMG_2.png")]


def test_a_region_belongs_to_each_image(tmp_path):
    touch_images(tmp_path, "images/1.png", "images/2.png", "images/3.png")
    touch_images(tmp_path, "masks/1.png", "masks/2.png", "masks/3.png")
    touch_images(tmp_path, "fov/fov_1.png", "fov/fov_2.png", "fov/again/fov_2.gif")
    pairing = find_pairs(
        tmp_path / "images", tmp_path / "masks", regions="fov", region_pattern=r"fov_(.+)\."
    )
    assert [(p.id, p.region) for p in pairing.pairs] == [("1", tmp_path / "fov/fov_1.png")]
    assert [(e.where, e.problem) for e in pairing.refused] == [
        (str(tmp_path / "images/2.png"), "several regions match it"),
        (str(tmp_path / "images/3.png"), "no region matches it"),
    ]


def test_masks_may_lie_within_the_images_and_images_within_the_masks(tmp_path):
    touch_images(tmp_path, "all/1.png", "all/masks/1.png")
    pairing = find_folder_pairs(list_files(tmp_path), images="all", masks="all/masks")
    assert [p.id for p in pairing.pairs] == ["1"]
    assert not pairing.refused
    pairing = find_folder_pairs(list_files(tmp_path), images="all/masks", masks="all")
    assert [p.id for p in pairing.pairs] == ["1"]


def test_one_folder_without_patterns_does_not_pair_files_with_themselves(tmp_path):
    folder = touch_images(tmp_path / "both", "1.png")
    with pytest.raises(InputError, match="nothing tells which are which"):
        find_pairs(folder, folder)


def test_a_region_without_image_is_named(tmp_path):
    touch_images(tmp_path, "images/1.png", "masks/1.png", "fov/1.png", "fov/2.png")
    pairing = find_pairs(tmp_path / "images", tmp_path / "masks", regions="fov")
    assert [p.region for p in pairing.pairs] == [tmp_path / "fov/1.png"]
    assert (only_error(pairing).where, only_error(pairing).problem) == (
        str(tmp_path / "fov/2.png"),
        "there is no image '2'",
    )


def test_masks_and_regions_may_share_a_folder(tmp_path):
    touch_images(tmp_path, "images/21_training.tif", "other/21_manual1.gif", "other/21_fov.gif")
    pairing = find_pairs(
        tmp_path / "images",
        tmp_path / "other",
        r"(\d+)_training",
        r"(\d+)_manual1",
        regions="other",
        region_pattern=r"(\d+)_fov",
    )
    assert pairing.refused == []
    (pair,) = pairing.pairs
    assert pair.id == "21_training"
    assert mask_of(pair) == tmp_path / "other/21_manual1.gif"
    assert pair.region == tmp_path / "other/21_fov.gif"


def test_a_file_that_two_patterns_match_is_refused(tmp_path):
    folder = touch_images(tmp_path / "both", "a.png", "a_mask.png", "b.png")
    pairing = find_pairs(folder, folder, "(.+)", "(.+)_mask")
    assert pairing.pairs == []
    assert [(e.where, e.problem) for e in pairing.refused] == [
        (str(folder / "a.png"), "there is no mask 'a.png'"),
        (str(folder / "a_mask.png"), "more than one pattern matches it"),
        (str(folder / "b.png"), "there is no mask 'b.png'"),
    ]
    pairing = find_pairs(folder, folder, r"^(?!.+_mask)(.+)\.", "(.+)_mask")
    assert [(p.id, mask_of(p).name) for p in pairing.pairs] == [("a", "a_mask.png")]
    assert only_error(pairing).where == str(folder / "b.png")


def test_a_pattern_with_a_slash_reads_the_folders_too(tmp_path):
    touch_images(tmp_path, "p1/img/1.png", "p1/lab/1.png", "p2/img/1.png", "p2/lab/1.png")
    touch_images(tmp_path, "p3/img/1.png", "p1/notes.png")
    pairing = find_pairs(tmp_path, tmp_path, r"^(.+)/img/(.+)\.", r"^(.+)/lab/(.+)\.")
    assert [(p.id, mask_of(p)) for p in pairing.pairs] == [
        (f"p{i}/img/1", tmp_path / f"p{i}/lab/1.png") for i in (1, 2)
    ]
    assert [(e.where, e.problem) for e in pairing.refused] == [
        (str(tmp_path / "p1/notes.png"), "its name does not match the pattern"),
        (str(tmp_path / "p3/img/1.png"), "there is no mask 'p3/1'"),
    ]


def test_groups_are_compared_separately(tmp_path):
    touch_images(tmp_path, "images/a_b-c.png", "masks/a-b_c.png")
    pattern = "^(.+)-(.+)\\."
    pairing = find_pairs(tmp_path / "images", tmp_path / "masks", pattern, pattern)
    assert pairing.pairs == []
    assert len(pairing.refused) == 2


def test_an_archive_is_read_like_the_folder_in_it(tmp_path):
    touch_images(tmp_path / "data", "images/a/1.JPG", "masks/a/1.png", "masks/2.png")
    shutil.make_archive(str(tmp_path / "data"), "zip", tmp_path / "data")
    root = tmp_path / "data.zip"
    pairing = find_folder_pairs(list_files(root))
    assert [(p.id, str(p.image), str(mask_of(p))) for p in pairing.pairs] == [
        ("a/1", f"{root}/images/a/1.JPG", f"{root}/masks/a/1.png")
    ]
    assert only_error(pairing).where == f"{root}/masks/2.png"


@pytest.mark.parametrize("name", ["2.dcm", "2.CZI", "2.webp", "sub/2.nii.gz", "2.ppm"])
def test_an_unsupported_format_is_refused(folders, name):
    images = touch_images(folders[0], "1.png", name)
    masks = touch_images(folders[1], "1.png")
    assert only_error(find_pairs(images, masks)).where == str(images / name)
    assert "Convert it to TIFF" in only_error(find_pairs(images, masks)).fix


def test_an_unsupported_format_elsewhere_is_ignored(folders):
    images, masks = touch_images(folders[0], "1.png"), touch_images(folders[1], "1.png")
    touch_images(images.parent, "scans/2.dcm", "notes.txt")
    assert find_pairs(images, masks).refused == []
