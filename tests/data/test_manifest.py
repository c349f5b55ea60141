import hashlib

import numpy as np
import pandas as pd
import pytest

from tests.support.images import random_pixels, store_samples
from unetflow.config.classes import ClassSpec
from unetflow.core.errors import InputError
from unetflow.data.fingerprint import Fingerprint, measure_fingerprint
from unetflow.data.manifest import (
    digest_data,
    find_channel_mismatches,
    require_counted_pixels,
    require_several_classes,
    samples_of_split,
    tabulate,
)
from unetflow.data.samples import Sample, SampleFolder

CLASSES = [ClassSpec("background", (0,)), ClassSpec("nucleus", (255,))]


@pytest.fixture
def stored(tmp_path):
    samples = {
        "a": Sample(
            np.array([[[10], [20]], [[30], [40]]], np.uint16),
            np.array([[0, 1], [1, 255]], np.uint8),
        ),
        "b": Sample(np.full((1, 3, 1), 60, np.uint16), np.array([[0, 0, 1]], np.uint8)),
        "c": Sample(np.full((4, 4, 1), 9999, np.uint16), np.full((4, 4), 255, np.uint8)),
    }
    return store_samples(tmp_path, samples)


@pytest.fixture
def manifest(stored):
    return tabulate(stored[1], CLASSES).assign(split=["train", "train", "test"])


def test_manifest_describes_each_sample(stored, manifest):
    pairs, _ = stored
    assert manifest["id"].tolist() == ["a", "b", "c"]
    assert manifest["image_file"].tolist() == [str(pair.image) for pair in pairs]
    assert manifest["mask_file"].tolist() == [pair.annotation.where for pair in pairs]
    assert manifest["height"].tolist() == [2, 1, 4]
    assert manifest["width"].tolist() == [2, 3, 4]
    assert manifest["channels"].tolist() == [1, 1, 1]
    assert manifest["dtype"].tolist() == ["uint16"] * 3
    files = {
        "image_sha256": [pair.image.file for pair in pairs],
        "mask_sha256": [pair.annotation.mask.file for pair in pairs],
    }
    for column, paths in files.items():
        digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
        assert manifest[column].tolist() == digests
    assert manifest["image_bytes"].tolist() == [pair.image.file.stat().st_size for pair in pairs]


def test_class_fractions_leave_out_ignored_pixels(manifest):
    assert manifest["ignored"].tolist() == [0.25, 0, 1]
    assert manifest["fraction_background"].tolist() == pytest.approx([1 / 3, 2 / 3, 0])
    assert manifest["fraction_nucleus"].tolist() == pytest.approx([2 / 3, 1 / 3, 0])


def test_foreground_is_all_but_the_first_class(tmp_path):
    fractions = {"fraction_a": 0.5, "fraction_b": 0.2, "fraction_c": 0.3}
    folder = SampleFolder(tmp_path, {"1": {"id": "1", "recipe": "", **fractions}})
    classes = [ClassSpec(name, None) for name in "abc"]
    assert tabulate(folder, classes)["foreground"].tolist() == [0.5]


def test_only_the_given_samples_are_listed_in_their_order(stored):
    assert tabulate(stored[1].select(["c", "a"]), CLASSES)["id"].tolist() == ["c", "a"]


def test_table_without_samples_has_the_same_columns(stored):
    columns = tabulate(stored[1], CLASSES).columns
    nothing = tabulate(stored[1].select([]), CLASSES)
    assert len(nothing) == 0
    assert set(nothing.columns) == set(columns)


def test_no_pixel_is_read_for_the_table(stored, tmp_path):
    moved = SampleFolder(tmp_path / "nowhere", stored[1].descriptions)
    assert tabulate(moved, CLASSES)["id"].tolist() == ["a", "b", "c"]


def test_fingerprint_of_two_small_samples(stored, manifest):
    fingerprint = measure_fingerprint(manifest, stored[1], CLASSES).model_dump()
    values = [10, 20, 30, 40, 60, 60, 60]
    assert fingerprint.pop("digest") == digest_data(manifest)
    assert fingerprint.pop("class_frequencies") == pytest.approx(
        {"background": 3 / 6, "nucleus": 3 / 6}
    )
    intensity = fingerprint.pop("intensity")
    assert (intensity["low"], intensity["high"]) == ([10], [60])
    assert intensity["mean"] == pytest.approx([40])
    assert intensity["standard_deviation"] == pytest.approx([np.std(values)])
    assert fingerprint.pop("range")["edge"] == [1, 3]
    assert fingerprint == {
        "samples": {"train": 2, "test": 1},
        "channels": 1,
        "dtype": "uint16",
        "height": {"smallest": 1, "median": 1.5, "largest": 2},
        "width": {"smallest": 2, "median": 2.5, "largest": 3},
        "largest": {"height": 4, "width": 4},
        "empty_fraction": 0.0,
        "objects": None,
        # Two pieces of 2 and 1 pixels, and half of the smaller one removes nothing.
        "smallest_objects": {"objects": 2, "pieces": True, "smaller": {}},
    }


def test_true_objects_are_numbered_ones_or_pieces_of_the_foreground(tmp_path):
    label = np.zeros((12, 12), np.uint8)
    label[1:5, 1:9] = label[8:11, 8:11] = 1
    image = np.zeros((12, 12, 1), np.uint8)
    _, folder = store_samples(tmp_path, {name: Sample(image, label) for name in "ab"})
    table = tabulate(folder, CLASSES).assign(split="train")
    assert measure_fingerprint(table, folder, CLASSES).smallest_objects.smaller == {"4": 0}
    # Two objects in the larger piece of one sample; the other one still has its two pieces.
    folder.descriptions["a"] = {**folder.descriptions["a"], "has_instances": True}
    areas = {"a": np.array([2, 30, 9])}
    folder.object_areas = areas.get
    smallest = measure_fingerprint(table, folder, CLASSES).smallest_objects
    assert (smallest.objects, smallest.pieces, smallest.smaller) == (5, True, {})
    several = [*CLASSES, ClassSpec("third", (3,))]
    table = table.assign(fraction_third=0.0)
    assert measure_fingerprint(table, folder, several).smallest_objects is None


def test_training_images_that_hold_only_the_first_class_are_counted(stored, manifest):
    training = manifest[manifest["split"] == "train"].index[0]
    changed = manifest.copy()
    changed.loc[training, ["fraction_background", "fraction_nucleus"]] = [1.0, 0.0]
    assert measure_fingerprint(changed, stored[1], CLASSES).empty_fraction == 0.5


def test_fingerprint_is_plain_data_from_which_the_scaling_comes_back(stored, manifest):
    fingerprint = measure_fingerprint(manifest, stored[1], CLASSES)
    assert Fingerprint.model_validate_json(fingerprint.model_dump_json()) == fingerprint
    assert (fingerprint.intensity.low, fingerprint.intensity.high) == ([10.0], [60.0])


def test_test_images_do_not_touch_the_training_statistics(stored, manifest):
    everything = measure_fingerprint(manifest.assign(split="train"), stored[1], CLASSES)
    training = measure_fingerprint(manifest, stored[1], CLASSES)
    assert everything.intensity.high == [9999]
    assert training.intensity.high == [60]


def test_fingerprint_of_floats_has_the_range_of_their_histograms(tmp_path):
    image = np.linspace(-1, 1, 1000, dtype=np.float32).reshape(10, 100, 1)
    label = np.eye(10, 100, dtype=np.uint8)
    _, folder = store_samples(tmp_path, {"a": Sample(image, label)})
    table = tabulate(folder, CLASSES).assign(split="train")
    fingerprint = measure_fingerprint(table, folder, CLASSES)
    assert fingerprint.dtype == "float32"
    assert fingerprint.intensity.low == pytest.approx([-0.992], abs=1e-3)
    assert fingerprint.intensity.high == pytest.approx([0.990], abs=1e-3)


def test_digest_does_not_depend_on_order_or_place_of_the_files(manifest):
    moved = manifest.iloc[[2, 0, 1]].assign(image_file="elsewhere", mask_file="elsewhere")
    assert digest_data(moved) == digest_data(manifest)


@pytest.mark.parametrize("column", ["id", "image_sha256", "mask_sha256", "split"])
def test_digest_depends_on_content_and_split(manifest, column):
    changed = manifest.copy()
    changed[column] = [*changed[column][:2], "other"]
    assert digest_data(changed) != digest_data(manifest)


def test_digest_sees_an_added_sample_and_an_exchange_of_masks(manifest):
    swapped = manifest.assign(mask_sha256=manifest["mask_sha256"].tolist()[::-1])
    digests = {digest_data(table) for table in (manifest, manifest.iloc[:2], swapped)}
    assert len(digests) == 3


def test_samples_of_a_split_keep_the_order(stored, manifest):
    def ids(split):
        return list(samples_of_split(stored[1], manifest, split))

    assert [ids("train"), ids("test"), ids("validation")] == [["a", "b"], ["c"], []]


@pytest.mark.parametrize("column", ["image_sha256", "mask_sha256", "stamp"])
def test_samples_that_are_newer_than_the_manifest_are_refused(stored, manifest, column):
    older = manifest.assign(**{column: [manifest[column][0], "other", manifest[column][2]]})
    assert list(samples_of_split(stored[1], older, "test")) == ["c"]
    with pytest.raises(InputError, match="its sample is newer than the manifest") as caught:
        samples_of_split(stored[1], older, "train")
    assert caught.value.where == manifest["image_file"][1]


def test_sample_that_only_the_manifest_knows_is_refused(stored, manifest):
    with pytest.raises(InputError, match="sample 'b' is not there"):
        samples_of_split(stored[1].select(["a", "c"]), manifest, "train")


def test_images_of_other_channels_or_bit_depth_are_refused(tmp_path):
    images = {
        "a": random_pixels((2, 2, 3)),
        "b": random_pixels((2, 2, 1)),
        "c": random_pixels((2, 2, 3)),
        "d": random_pixels((2, 2, 3), np.uint16),
    }
    samples = {name: Sample(image, np.eye(2, dtype=np.uint8)) for name, image in images.items()}
    pairs, folder = store_samples(tmp_path, samples)
    errors = find_channel_mismatches(tabulate(folder, CLASSES))
    assert [error.where for error in errors] == [str(pairs[1].image), str(pairs[3].image)]
    assert errors[0].problem == (
        "it has 1 channels in uint8, while most images have 3 channels in uint8"
    )
    assert "3 channels in uint16, while" in errors[1].problem


def test_equal_images_are_not_refused(manifest):
    assert find_channel_mismatches(manifest) == []


def masks_of(*fractions):
    background, nucleus = zip(*fractions, strict=True)
    return pd.DataFrame(
        {
            "mask_file": [f"{number}.png" for number in range(len(fractions))],
            "fraction_background": background,
            "fraction_nucleus": nucleus,
        }
    )


def test_masks_that_differ_only_between_images_are_accepted():
    assert require_several_classes(masks_of((1, 0), (0, 1)), CLASSES) is None


@pytest.mark.parametrize(
    ("fractions", "named"),
    [((1.0, 0.0), "'background'"), ((0.0, 1.0), "'nucleus'"), ((0.0, 0.0), "'none'")],
)
def test_masks_of_one_class_only_are_refused(fractions, named):
    with pytest.raises(InputError, match=f"hold only the class {named}.*folder") as caught:
        require_several_classes(masks_of(fractions, fractions), CLASSES)
    assert caught.value.where == "0.png"


def test_a_split_of_which_all_pixels_are_ignored_is_refused():
    table = pd.DataFrame(
        {
            "mask_file": ["a.png", "b.png", "c.png", "d.png"],
            "split": ["train", "validation", "test", "test"],
            "ignored": [0.2, 0.999, 1.0, 1.0],
        }
    )
    require_counted_pixels(table[:3].assign(ignored=0.999))
    with pytest.raises(InputError, match="nor of the 1 other masks of the split 'test'") as caught:
        require_counted_pixels(table)
    assert caught.value.where == "c.png"


def test_error_of_constant_masks_counts_the_others():
    with pytest.raises(InputError, match="this mask and all 2 others"):
        require_several_classes(masks_of((1, 0), (1, 0), (1, 0)), CLASSES)
