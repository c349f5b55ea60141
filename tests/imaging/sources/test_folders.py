import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.imaging.helpers import touch_images
from unetflow.imaging.errors import InputError
from unetflow.imaging.sources.folders import find_folder_pairs
from unetflow.imaging.trees import list_tree, natural_order


@pytest.fixture
def folders(tmp_path):
    return tmp_path / "images", tmp_path / "masks"


def find_pairs(images, masks, image_pattern=None, mask_pattern=None, **options):
    """Pair two folders of one root, given by their paths on disk."""
    root = images if images == masks else images.parent
    return find_folder_pairs(
        list_tree(root),
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


def test_natural_order_puts_2_before_10():
    names = ["a10.png", "a2.png", "b1.png", "a1.png", "10.png", "9.png", "a"]
    assert sorted(names, key=natural_order) == [
        *("9.png", "10.png", "a", "a1.png", "a2.png", "a10.png", "b1.png")
    ]


@given(numbers=st.lists(st.integers(0, 10**6), min_size=2, unique=True))
def test_numbers_in_names_sort_as_numbers(numbers):
    names = [f"cell_{n}_x.png" for n in numbers]
    assert sorted(names, key=natural_order) == [f"cell_{n}_x.png" for n in sorted(numbers)]


@example(names=["01", "1"])
@given(names=st.lists(st.text("a01²x/", max_size=6), max_size=6, unique=True))
def test_order_depends_on_the_names_alone_not_on_how_the_disk_lists_them(names):
    backwards = names[::-1]
    assert sorted(backwards, key=natural_order) == sorted(names, key=natural_order)


def test_pairs_come_in_natural_order_whatever_the_endings(folders):
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


def test_same_name_in_another_subfolder_is_no_partner(folders):
    images = touch_images(folders[0], "a/1.png", "b/1.png")
    masks = touch_images(folders[1], "a/1.png", "c/1.png")
    pairing = find_pairs(images, masks)
    assert [p.id for p in pairing.pairs] == ["a/1"]
    assert [e.where for e in pairing.refused] == [str(images / "b/1.png"), str(masks / "c/1.png")]


def test_only_the_last_ending_is_cut_off(folders):
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
    assert "Add the mask" in error.mend


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
    assert "all but one image and one mask" in pairing.refused[0].mend


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


def test_folder_without_images_is_named_with_the_endings_that_count(folders):
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
        (r"\d+_training", r"'\\d\+_training' has no group.*parentheses"),
        ("(", "is no regular expression .*Correct it"),
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
    assert "Correct mask_pattern" in caught.value.mend


def test_hidden_folders_are_not_searched(tmp_path):
    for name in ("images/1.png", "masks/1.png", "images/.ipynb_checkpoints/1.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    pairing = find_pairs(tmp_path / "images", tmp_path / "masks")
    assert [pair.id for pair in pairing.pairs] == ["1"]
    assert not pairing.refused


def test_file_that_the_pattern_leaves_out_is_named(tmp_path):
    for name in ("images/img_1.png", "images/IMG_2.png", "masks/mask_1.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    pairing = find_pairs(tmp_path / "images", tmp_path / "masks", r"img_(\d+)", r"mask_(\d+)")
    assert [pair.id for pair in pairing.pairs] == ["img_1"]
    assert [error.where for error in pairing.refused] == [str(tmp_path / "images/IMG_2.png")]


def test_images_and_masks_in_one_folder_are_told_apart_by_their_patterns(tmp_path):
    for name in ("img_1.png", "mask_1.png", "stray.png"):
        (tmp_path / name).write_bytes(b"")
    pairing = find_pairs(tmp_path, tmp_path, r"img_(\d+)", r"mask_(\d+)")
    assert [mask_of(pair).name for pair in pairing.pairs] == ["mask_1.png"]
    assert [error.where for error in pairing.refused] == [str(tmp_path / "stray.png")]


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


def test_masks_may_lie_below_the_images_and_images_below_the_masks(tmp_path):
    touch_images(tmp_path, "all/1.png", "all/masks/1.png")
    pairing = find_folder_pairs(list_tree(tmp_path), images="all", masks="all/masks")
    assert [p.id for p in pairing.pairs] == ["1"]
    assert not pairing.refused
    pairing = find_folder_pairs(list_tree(tmp_path), images="all/masks", masks="all")
    assert [p.id for p in pairing.pairs] == ["1"]


def test_one_folder_without_patterns_does_not_pair_files_with_themselves(tmp_path):
    folder = touch_images(tmp_path / "both", "1.png")
    with pytest.raises(InputError, match="nothing tells which are which"):
        find_pairs(folder, folder)


@pytest.mark.parametrize("name", ["2.dcm", "2.czi", "2.webp"])
def test_a_format_that_no_reader_knows_is_not_passed_over(folders, name):
    images = touch_images(folders[0], "1.png", name)
    masks = touch_images(folders[1], "1.png")
    assert only_error(find_pairs(images, masks)).where == str(images / name)
