import shutil

import numpy as np
import pytest
import yaml

from tests.support.file_trees import noise, save
from unetflow.annotations.autodetect.detect_layout import detect_layout, find_candidates
from unetflow.annotations.layouts.find_pairs import find_pairs
from unetflow.core.errors import InputError

EDGE = 40
N = range(21, 25)
ROWS, COLUMNS = np.mgrid[:EDGE, :EDGE]
DRIVE = {
    "image": "images/{}_training.tif",
    "mask": "1st_manual/{}_manual1.gif",
    "region": "mask/{}_training_mask.gif",
}


def disc(number=0, radius=17):
    """Return a disc that lies one pixel to the right for odd numbers, as cameras differ."""
    return (ROWS - 20) ** 2 + (COLUMNS - 20 - number % 2) ** 2 <= radius**2


def photograph(number):
    """Return noise that is bright inside the disc, and dark outside."""
    grain = noise(number, (EDGE, EDGE))
    return np.where(disc(number), 100 + grain // 2, grain // 32).astype(np.uint8)


def vessels(number):
    """Return a thin line across the disc."""
    return disc(number, 14) & (number % 4 + 4 == ROWS % 16)


def make_eyes(root, numbers=N, names=DRIVE, **spoil):
    """Write photographs, vessels and fields of view; `spoil` has functions that change them."""
    made = {"image": photograph, "mask": vessels, "region": disc} | spoil
    for number in numbers:
        for kind, pattern in names.items():
            pixels = made[kind](number)
            values = pixels * np.uint8(255) if pixels.dtype == bool else pixels
            save(root / pattern.format(number), values.astype(np.uint8))
    return root


def test_a_field_of_view_is_offered_as_the_region_of_the_other_masks(tmp_path):
    root = make_eyes(tmp_path / "drive")
    candidate = detect_layout(root)
    assert candidate.options == {
        "images": "images",
        "masks": "1st_manual",
        "image_pattern": r"^(.+)_training\.tif$",
        "mask_pattern": r"^(.+)_manual1\.gif$",
        "regions": "mask",
        "region_pattern": r"^(.+)_training_mask\.gif$",
    }
    assert (candidate.layout, candidate.n_pairs, candidate.n_unused, candidate.n_unused_masks) == (
        *("folders", len(N), 0, 0),
    )
    first_line, _, lines = candidate.explain(root).partition("\n")
    assert "'mask' seems to be the field of view, and pixels outside do not count" in first_line
    entry = yaml.safe_load(lines)["raw_pairs"]
    assert {key: entry[key] for key in candidate.options} == candidate.options
    pairing = find_pairs(root, candidate.layout, candidate.options)
    assert pairing.refused == []
    assert [pair.region for pair in pairing.pairs] == [
        root / f"mask/{number}_training_mask.gif" for number in N
    ]


def test_it_is_offered_in_an_archive(tmp_path):
    root = make_eyes(tmp_path / "drive")
    packed = tmp_path / "drive.zip"
    shutil.make_archive(str(root), "zip", root)
    assert detect_layout(packed) == detect_layout(root)


@pytest.mark.parametrize(
    ("region", "pattern"),
    [("fov/{}.png", None), ("fov/f{}_fov.png", r"^f(.+)_fov\.png$"), ("fov/{}.gif", None)],
)
def test_it_is_offered_where_images_and_masks_have_equal_names(tmp_path, region, pattern):
    names = {"image": "images/{}.png", "mask": "masks/{}.png", "region": region}
    candidate = detect_layout(make_eyes(tmp_path, names=names))
    expected = {"images": "images", "masks": "masks", "regions": "fov"}
    assert candidate.options == expected | ({"region_pattern": pattern} if pattern else {})


def test_each_split_has_its_own_fields_of_view(tmp_path):
    for folder, split, numbers in (("training", "training", N), ("test", "test", range(1, 5))):
        names = {
            kind: f"{folder}/{name.replace('training', split)}" for kind, name in DRIVE.items()
        }
        make_eyes(tmp_path, numbers, names)
    candidate = detect_layout(tmp_path)
    assert set(candidate.splits) == {"train", "test"}
    assert [options["regions"] for options in candidate.splits.values()] == [
        *("training/mask", "test/mask")
    ]
    pairs = find_pairs(tmp_path, "folders", candidate.options, candidate.splits).pairs
    assert len(pairs) == candidate.n_pairs == 8
    assert all(pair.region is not None for pair in pairs)
    assert "'training/mask' and 'test/mask' seem to be the fields" in candidate.explain(tmp_path)


def test_both_of_two_annotations_get_it(tmp_path):
    make_eyes(tmp_path)
    make_eyes(tmp_path, names={"mask": "2nd_manual/{}_manual2.gif"})
    candidates = find_candidates(tmp_path)
    assert sorted(candidate.options["masks"] for candidate in candidates) == [
        "1st_manual",
        "2nd_manual",
    ]
    assert {candidate.options["regions"] for candidate in candidates} == {"mask"}


def half(number):
    return disc(number) & (ROWS < 20 if number % 2 else ROWS >= 20)


def everywhere(number):
    return np.full((EDGE, EDGE), True)


SPOILED = {
    "it covers little": {"region": lambda n: disc(n, 11)},
    "it covers all": {"region": everywhere},
    "it has a hole": {"region": lambda n: disc(n) & ~disc(n, 4)},
    "it is two regions": {"region": lambda n: disc(n) & (abs(ROWS - 20) > 1)},
    "it differs from image to image": {"region": lambda n: disc(n) & (36 - 6 * (n % 2) > COLUMNS)},
    "it has three values": {"region": lambda n: disc(n) * 100 + disc(n, 9) * np.uint8(50)},
    "it has another size": {"region": lambda n: disc(n)[:-1]},
    "the image is bright outside": {"image": lambda n: noise(n, (EDGE, EDGE))},
    "the image is darker inside": {"image": lambda n: 255 - photograph(n)},
    "an annotation lies outside": {"mask": lambda n: vessels(n) | (ROWS == 1)},
    "an annotation covers much": {"mask": lambda n: disc(n, 14)},
    "nothing is annotated": {"mask": lambda n: ~everywhere(n)},
    "an annotation has another size": {"mask": lambda n: vessels(n)[:-1]},
}


@pytest.mark.parametrize("name", SPOILED)
def test_where_it_is_uncertain_both_layouts_are_shown(tmp_path, name):
    make_eyes(tmp_path, **SPOILED[name])
    with pytest.raises(InputError, match="it can be read in 2 ways") as caught:
        detect_layout(tmp_path)
    assert "masks: 1st_manual" in caught.value.problem
    assert "masks: mask" in caught.value.problem
    assert "regions" not in caught.value.problem


def test_a_mask_without_0_is_not_a_field_of_view(tmp_path):
    names = DRIVE | {"region": "mask/{}_training_mask.png"}
    make_eyes(tmp_path, names=names, region=lambda number: np.where(disc(number), 255, 1))
    assert all("regions" not in candidate.options for candidate in find_candidates(tmp_path))


def test_two_images_are_too_few_to_be_sure(tmp_path):
    make_eyes(tmp_path, numbers=[21, 22])
    assert len(find_candidates(tmp_path)) == 2


def test_specks_and_nicks_do_not_matter(tmp_path):
    def worn(number):
        region = disc(number)
        region[1, 1] = True
        region[12, 12] = False
        return region

    assert detect_layout(make_eyes(tmp_path, region=worn)).options["regions"] == "mask"


def test_names_that_no_pattern_pairs_leave_both_layouts(tmp_path):
    # The regions' names have the number in another place, so that no one pattern holds it.
    make_eyes(tmp_path)
    (tmp_path / "mask/21_training_mask.gif").rename(tmp_path / "mask/x_21_training_mask.gif")
    assert all("regions" not in candidate.options for candidate in find_candidates(tmp_path))


def test_unreadable_files_leave_both_layouts(tmp_path):
    make_eyes(tmp_path)
    for number in N:
        path = tmp_path / f"images/{number}_training.tif"
        path.write_bytes(path.read_bytes()[:100])
    assert all("regions" not in candidate.options for candidate in find_candidates(tmp_path))
