import itertools
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from tests.support.file_trees import find_only_candidate, make, names, noise, pairs_of, save
from unetflow.annotations.autodetect.content_kind import (
    ContentKind,
    detect_content_kind,
    find_mask_sides,
    has_image_word,
    has_mask_word,
    is_same_image,
)
from unetflow.annotations.autodetect.detect_layout import detect_layout, find_candidates
from unetflow.annotations.autodetect.name_candidates import find_difference, propose_options
from unetflow.core.errors import InputError

N = range(1, 5)
IMAGE, UNCLEAR, MASK = ContentKind


def cells(numbered=False, edge=96):
    """Draw many small round objects."""
    seeds = np.zeros((edge, edge), np.uint8)
    seeds[4::12, 4::12] = 1
    drawn, _ = ndimage.label(ndimage.binary_dilation(seeds, iterations=4))
    return (drawn if numbered else 255 * (drawn > 0)).astype(np.uint8)


def dark(edge=96):
    """Make a noisy image of very few values, as from a dim lamp."""
    return noise("dark", (edge, edge)) // 16


@pytest.mark.parametrize(
    ("name", "pixels", "kind"),
    [
        ("photo.png", noise("a", (96, 96, 3)), IMAGE),
        ("photo.jpg", noise("a", (96, 96)), IMAGE),
        ("16 bit.tif", noise("a", (96, 96)).astype(np.uint16) * 100, IMAGE),
        ("mask.png", cells(), MASK),
        ("mask.bmp", cells(), MASK),
        ("colours.png", np.stack([cells()] * 3, 2), MASK),
        ("empty.png", np.zeros((96, 96), np.uint8), MASK),
        ("mask.jpg", cells(), UNCLEAR),
        ("many objects.png", cells(numbered=True), UNCLEAR),
        ("dark.png", dark(), UNCLEAR),
        ("one column.png", noise("a", (96, 1)), IMAGE),
    ],
)
def test_content_kind_is_detected_from_pixels(tmp_path, name, pixels, kind):
    save(tmp_path / name, pixels)
    assert detect_content_kind([tmp_path / name]) == kind


def test_content_kinds_of_several_files_must_agree(tmp_path):
    kinds = {"a": noise("a", (96, 96)), "b": cells(), "c": cells(numbered=True)}
    for name, pixels in kinds.items():
        save(tmp_path / f"{name}.png", pixels)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    files = {name: tmp_path / f"{name}.png" for name in [*kinds, "broken"]}
    assert detect_content_kind([files["b"], files["b"], files["a"]]) is None
    assert detect_content_kind([files["b"], files["c"]]) == UNCLEAR
    assert detect_content_kind([files["broken"], files["b"]]) == MASK
    assert detect_content_kind([files["broken"]]) is None


@pytest.mark.parametrize(
    ("texts", "kinds", "sides", "sure"),
    [
        (("images", "masks"), (IMAGE, MASK), (1,), True),
        (("Ground Truth", "Original"), (MASK, IMAGE), (0,), True),
        # Words hold where pixels say nothing, or the same of both.
        (("images", "masks"), (None, None), (1,), True),
        (("images", "masks"), (MASK, MASK), (1,), True),
        (("images", "masks"), (IMAGE, IMAGE), (1,), True),
        (("x", "x_seg"), (UNCLEAR, UNCLEAR), (1,), True),
        # Cartoons beside masks of many values: the words must not be overruled in silence.
        (("images", "masks"), (MASK, IMAGE), (0, 1), True),
        (("images", "masks"), (UNCLEAR, IMAGE), (0, 1), True),
        (("images", "y"), (MASK, IMAGE), (0, 1), True),
        # Without words only what is clear counts.
        (("a", "b"), (IMAGE, MASK), (1,), True),
        (("a", "b"), (MASK, IMAGE), (0,), True),
        (("a", "b"), (IMAGE, UNCLEAR), (0, 1), False),
        (("a", "b"), (MASK, UNCLEAR), (0, 1), False),
        (("a", "b"), (MASK, MASK), (0, 1), False),
        (("a", "b"), (IMAGE, IMAGE), (), False),
        (("a", "b"), (None, MASK), (), False),
        (("masks", "labels"), (MASK, MASK), (), False),
        (("masks", "mask overlays"), (MASK, IMAGE), (), False),
    ],
)
def test_words_and_pixels_decide_the_side_of_the_masks(texts, kinds, sides, sure):
    assert find_mask_sides(texts, kinds) == (sides, sure)
    mirrored = tuple(sorted(1 - side for side in sides))
    assert find_mask_sides(texts[::-1], kinds[::-1]) == (mirrored, sure)


MASK_WORDS = (
    *("masks", "labels", "labelIds", "annotations", "trainannot", "GroundTruth", "ground_truth"),
    *("gtFine", "gt", "SegmentationClass", "train_lab", "1st_manual", "instances", "trimaps"),
    *("_1stHO", "y_seg", "Targets"),
)
OTHER_WORDS = (
    *("images", "unlabelled", "unannotated", "night", "collab", "echo", "photos", "weight"),
    *("original", "targeted", "ann"),
)


@pytest.mark.parametrize("word", MASK_WORDS)
def test_mask_words_are_found(word):
    assert has_mask_word(word)


@pytest.mark.parametrize("word", OTHER_WORDS)
def test_other_words_are_not_mask_words(word):
    assert not has_mask_word(word)


@pytest.mark.parametrize("word", ["images", "JPEGImages", "leftImg", "raw", "Original", "imgs"])
def test_image_words_are_found(word):
    assert has_image_word(word)


def test_the_same_image_is_found_in_another_size_and_format(tmp_path):
    small = noise("a", (32, 32))
    save(tmp_path / "a.png", small)
    save(tmp_path / "a.tif", np.kron(small, np.ones((2, 2), np.uint8)))
    save(tmp_path / "b.png", noise("b", (32, 32)))
    save(tmp_path / "empty.png", np.zeros((32, 32), np.uint8))
    (tmp_path / "broken.png").write_bytes(b"")
    a, other, b, empty, broken = (
        tmp_path / name for name in ("a.png", "a.tif", "b.png", "empty.png", "broken.png")
    )
    assert is_same_image(a, other)
    assert not is_same_image(a, b)
    assert not is_same_image(empty, empty)
    assert not is_same_image(a, broken)


@pytest.mark.parametrize(
    ("one", "other", "parts"),
    [
        ("images", "masks", ("", "images", "masks", "")),
        ("train_images", "train_masks", ("train_", "images", "masks", "")),
        ("train", "trainannot", ("train", "", "annot", "")),
        ("21_training", "21_manual1", ("21_", "training", "manual1", "")),
        ("Slide_01", "GT_01", ("", "Slide", "GT", "_01")),
        ("img001", "mask001", ("", "img", "mask", "001")),
        ("x_01", "x_01_mask", ("x_01", "", "_mask", "")),
        ("tumor_mri", "tumor_mask", ("tumor_", "mri", "mask", "")),
        ("p1/images/a", "p1/masks/a", ("p1/", "images", "masks", "/a")),
        ("same", "same", ("same", "", "", "")),
    ],
)
def test_the_difference_of_two_names_consists_of_whole_words(one, other, parts):
    assert find_difference(one, other) == parts


@given(texts=st.tuples(*[st.text("ab1_/", max_size=8)] * 2))
def test_start_middle_and_end_give_the_name(texts):
    start, one, other, end = find_difference(*texts)
    assert (start + one + end, start + other + end) == texts


@given(
    keys=st.lists(
        st.text("ab12_. ()+", min_size=1, max_size=5), min_size=2, max_size=4, unique=True
    ),
    ends=st.tuples(st.sampled_from(["", "_img", "-a.b"]), st.sampled_from(["_mask", " (gt)"])),
)
def test_patterns_capture_the_shared_key_and_exclude_the_other_side(keys, ends):
    pairs = [(f"{key}{ends[0]}.png", f"{key}{ends[1]}.png") for key in keys]
    for options in propose_options(pairs):
        image, mask = (re.compile(options[f"{kind}_pattern"]) for kind in ("image", "mask"))
        for pair in pairs:
            found = image.search(pair[0]), mask.search(pair[1])
            assert found[0] is None or found[1] is None or found[0].groups() == found[1].groups()
            assert not (image.search(pair[1]) and mask.search(pair[1]))


def test_dark_images_are_not_taken_for_masks(tmp_path):
    for number in N:
        save(tmp_path / f"images/{number}.png", dark())
        save(tmp_path / f"masks/{number}.png", cells(numbered=True))
    assert find_only_candidate(tmp_path).options == {"images": "images", "masks": "masks"}


@pytest.mark.parametrize(("one", "other"), [("a", "b"), ("images", "masks")])
def test_cartoons_beside_noisy_masks_are_ambiguous(tmp_path, one, other):
    for number in N:
        save(tmp_path / one / f"{number}.png", cells())
        save(tmp_path / other / f"{number}.png", cells() if one == "a" else noise(number, (96, 96)))
    with pytest.raises(InputError, match="in 2 ways"):
        detect_layout(tmp_path)
    assert {(r.options["images"], r.options["masks"]) for r in find_candidates(tmp_path)} == {
        *((one, other), (other, one))
    }


def test_masks_for_some_of_the_images_suffice(tmp_path):
    make(tmp_path, names("images/{}_img.png", *range(40)), names("masks/{}_lab.png", 3, 30, 31))
    candidate = find_only_candidate(tmp_path)
    assert (candidate.n_pairs, candidate.n_unused) == (3, 37)


def test_counters_that_happen_to_be_equal_pair_nothing(tmp_path):
    make(tmp_path, names("photos/IMG_{}.png", *range(1, 30)), names("masks/cell {}.png", *N))
    assert find_candidates(tmp_path) == []


def test_a_damaged_file_does_not_prevent_detection(tmp_path):
    make(tmp_path, names("images/{}.tif", *N), names("masks/{}.tif", *N))
    (tmp_path / "images/1.tif").write_bytes(b"II*\0")
    candidate = detect_layout(tmp_path)
    assert (candidate.layout, candidate.n_pairs) == ("folders", len(N))


def test_a_layout_that_leaves_out_many_masks_is_shown_but_not_used(tmp_path):
    make(tmp_path, names("images/{}.png", *N), names("masks/{}.png", *N))
    make(tmp_path, [], names("other_masks/unlike_{}x{}.png", *((n, n) for n in N)))
    with pytest.raises(InputError, match="leaves out 4 files that are called masks") as caught:
        detect_layout(tmp_path)
    assert "masks: masks" in caught.value.problem
    assert "If that is intended, copy it" in caught.value.fix


def test_a_few_masks_without_image_do_not_matter(tmp_path):
    make(tmp_path, names("images/{}.png", *range(30)), names("masks/{}.png", *range(1, 32)))
    candidate = detect_layout(tmp_path)
    assert (candidate.n_pairs, candidate.n_unused, candidate.n_unused_masks) == (29, 3, 2)


def test_words_that_images_share_are_not_mask_words(tmp_path):
    root = tmp_path / "data"
    make(root, names("A. Segmentation/train/images/{}.png", *N))
    make(root, names("A. Segmentation/test/images/{}.png", *N), ["Grading/x.png"])
    make(root, [], names("A. Segmentation/train/labels/{}.png", *N))
    candidate = detect_layout(root)
    assert (candidate.n_pairs, candidate.n_unused, candidate.n_unused_masks) == (4, 5, 0)


PLACES = ["{s}/{p}/{r}", "{r}/{s}/{p}", "{s}/{r}/{p}", "{p}/{s}/{r}", "{s}_{r}/{p}", "{s}/{p}"]
ROLES = [("images", "masks"), ("Original", "Ground Truth"), ("data", "labels"), ("x", "y")]


@given(
    place=st.sampled_from(PLACES),
    role=st.sampled_from(ROLES),
    ends=st.sampled_from([("", "_mask"), ("_img", "_lab"), ("", "_1stHO"), ("", "")]),
    endings=st.sampled_from([(".jpg", ".png"), (".png", ".png"), (".tif", ".gif")]),
    splits=st.sampled_from([["train", "val"], ["training", "test"], [""]]),
    patients=st.sampled_from([["p1", "p2", "p10"], ["ann", "bob"], [""]]),
    name=st.sampled_from(["{}", "{:03}", "im{}", "cell {}", "2007_{:06}", "a{}b"]),
    starts_again=st.booleans(),
)
def test_every_detected_layout_is_correct(
    tmp_path_factory, place, role, ends, endings, splits, patients, name, starts_again
):
    truth = {}
    numbers = itertools.count(1)
    for split, patient in itertools.product(splits, patients):
        numbers = itertools.count(1) if starts_again else numbers
        for number in itertools.islice(numbers, 3):
            image, mask = (
                "/".join(filter(None, place.format(s=split, p=patient, r=r).strip("_").split("/")))
                + f"/{name.format(number)}{end}{ending}"
                for r, end, ending in zip(role, ends, endings, strict=True)
            )
            truth[image.lstrip("/")] = [mask.lstrip("/")]
    if set(truth) & {mask for (mask,) in truth.values()}:
        return
    root = make(tmp_path_factory.mktemp("tree"), truth, [mask for (mask,) in truth.values()])
    candidate = find_only_candidate(root)
    assert pairs_of(root, candidate) == truth
    assert bool(candidate.splits) == (len(splits) > 1)
