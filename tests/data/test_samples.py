import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.support.images import random_pixels, store_samples
from unetflow.core.errors import InputError
from unetflow.data.duplicates import make_thumbnail
from unetflow.data.intensity import intensity_histogram
from unetflow.data.samples import (
    Sample,
    SampleFolder,
    SampleRecord,
    list_with_foreground,
    remove_sample,
    spread_evenly,
    write_record,
    write_sample,
)
from unetflow.io.tiff_writer import write_tiff

SIDES = st.integers(1, 8)


def described(instances=None, height=4, width=5):
    image = random_pixels((height, width, 1), np.uint16)
    sample = Sample(image, random_pixels((height, width)) % 2)
    return SampleRecord(
        sample,
        instances,
        intensity_histogram(image),
        make_thumbnail(image),
        {"id": "a", "height": 4},
    )


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@given(SIDES, SIDES, st.integers(1, 5), st.sampled_from([np.uint8, np.uint16]))
def test_written_sample_opens_with_equal_pixels(height, width, channels, dtype):
    image = random_pixels((height, width, channels), dtype)
    label = random_pixels((height, width)) % 3
    with tempfile.TemporaryDirectory() as folder:
        write_sample(Path(folder) / "deep" / "a", Sample(image, label))
        sample = SampleFolder(Path(folder) / "deep", {"a": {}})["a"]
        np.testing.assert_array_equal(np.array(sample.image), image, strict=True)
        np.testing.assert_array_equal(np.array(sample.label), label, strict=True)


def test_opened_sample_is_a_read_only_memory_map(tmp_path):
    write_sample(tmp_path / "a", Sample(random_pixels((4, 5, 3)), random_pixels((4, 5))))
    sample = SampleFolder(tmp_path, {"a": {}})["a"]
    for pixels in (sample.image, sample.label):
        assert isinstance(pixels, np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            pixels[0, 0] = 1


def test_sample_of_floats_opens_with_equal_pixels(tmp_path):
    image = np.linspace(-1, 1e9, 60, dtype=np.float32).reshape(3, 10, 2)
    write_sample(tmp_path / "a", Sample(image, np.zeros((3, 10), np.uint8)))
    sample = SampleFolder(tmp_path, {"a": {}})["a"]
    np.testing.assert_array_equal(np.array(sample.image), image, strict=True)


@pytest.mark.parametrize("shape", [(6, 7), (6, 7, 1), (6, 7, 3)])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_tiff_is_one_page_that_pillow_reads_too(tmp_path, shape, compression):
    pixels = random_pixels(shape)
    write_tiff(tmp_path / "a.tif", pixels, compression)
    with Image.open(tmp_path / "a.tif") as image:
        assert image.n_frames == 1
        np.testing.assert_array_equal(np.asarray(image), pixels.squeeze())


def test_compression_makes_the_file_smaller(tmp_path):
    pixels = np.zeros((200, 200), np.uint8)
    write_tiff(tmp_path / "plain.tif", pixels)
    write_tiff(tmp_path / "small.tif", pixels, "zlib")
    assert (tmp_path / "small.tif").stat().st_size < 2000
    assert (tmp_path / "plain.tif").stat().st_size > 40_000


def test_failed_write_leaves_the_old_file(tmp_path):
    write_tiff(tmp_path / "a.tif", random_pixels((3, 3)))
    before = (tmp_path / "a.tif").read_bytes()
    with pytest.raises(ValueError, match="COMPRESSION"):
        write_tiff(tmp_path / "a.tif", random_pixels((3, 3), seed=1), "nonsense")
    assert (tmp_path / "a.tif").read_bytes() == before
    assert list(tmp_path.iterdir()) == [tmp_path / "a.tif"]


@pytest.fixture
def folder(tmp_path):
    samples = {
        name: Sample(random_pixels((2, 3, 1), seed=seed), random_pixels((2, 3)) % 2)
        for seed, name in enumerate(["2", "10", "sub/1"])
    }
    return store_samples(tmp_path, samples)[1]


def test_sample_folder_is_a_mapping_in_the_given_order(folder):
    assert list(folder) == ["2", "10", "sub/1"]
    assert len(folder) == 3
    assert folder.refused == []
    for seed, sample in enumerate(folder.values()):
        np.testing.assert_array_equal(sample.image, random_pixels((2, 3, 1), seed=seed))


def test_unlisted_sample_is_not_opened_even_when_it_is_on_disk(folder):
    part = folder.select(["10"])
    assert "2" not in part
    with pytest.raises(KeyError):
        part["2"]


def test_selection_keeps_its_own_order(folder):
    assert list(folder.select(["sub/1", "2"])) == ["sub/1", "2"]


def test_selection_of_an_unknown_sample_is_refused(folder):
    with pytest.raises(InputError, match=r"sample '7' is not there\. Run the ingestion again"):
        folder.select(["2", "7"])


def test_histogram_comes_back_as_it_was_measured(folder):
    for sample_id, sample in folder.items():
        expected = intensity_histogram(np.array(sample.image))
        np.testing.assert_array_equal(folder.histogram(sample_id), expected, strict=True)


def test_histogram_of_an_unlisted_sample_is_not_opened(folder):
    with pytest.raises(KeyError):
        folder.select(["10"]).histogram("2")


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32])
def test_object_numbers_come_back_where_there_are_any(tmp_path, dtype):
    instances = random_pixels((4, 5), dtype)
    write_record(tmp_path / "a", described(instances))
    write_record(tmp_path / "b", described())
    folder = SampleFolder(tmp_path, {"a": {}, "b": {}})
    np.testing.assert_array_equal(folder.instances("a"), instances, strict=True)
    assert folder.instances("b") is None


def test_earlier_instances_are_removed(tmp_path):
    write_record(tmp_path, described(random_pixels((4, 5), np.uint16)))
    write_record(tmp_path, described())
    assert names(tmp_path) == ["image.tif", "label.tif", "overview.npz", "sample.json"]


@pytest.mark.parametrize("missing", ["write_sample", "np.savez"])
def test_sample_that_is_not_written_to_its_end_has_no_description(tmp_path, monkeypatch, missing):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    write_record(tmp_path, described())
    monkeypatch.setattr(f"unetflow.data.samples.{missing}", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_record(tmp_path, described())
    assert "sample.json" not in names(tmp_path)


def test_removed_sample_takes_its_folder_with_it(tmp_path):
    write_record(tmp_path / "a", described(random_pixels((4, 5), np.uint16)))
    remove_sample(tmp_path / "a")
    assert names(tmp_path) == []


def test_removing_a_sample_keeps_other_files(tmp_path):
    write_record(tmp_path / "a", described())
    write_record(tmp_path / "a" / "b", described())
    (tmp_path / "a" / "notes.txt").write_text("mine")
    remove_sample(tmp_path / "a")
    assert names(tmp_path / "a") == ["b", "notes.txt"]
    assert "image.tif" in names(tmp_path / "a" / "b")


def test_errors_are_kept_separately(tmp_path):
    refused = [InputError("a", "b", "c")]
    folder = SampleFolder(tmp_path, {}, refused)
    refused.clear()
    assert [error.where for error in folder.refused] == ["a"]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_a_sample_is_the_same_each_time_it_is_opened(tmp_path, dtype, channels):
    random = np.random.default_rng(0)
    image = random.integers(0, 200, (9, 7, channels)).astype(dtype)
    label = random.integers(0, 2, (9, 7), np.uint8)
    write_sample(tmp_path / "a", Sample(image, label))
    folder = SampleFolder(tmp_path, {"a": {}})
    for _ in range(2):
        np.testing.assert_array_equal(folder["a"].image, image)
        np.testing.assert_array_equal(folder["a"].label, label)
        assert folder["a"].image.dtype == dtype
        with pytest.raises(ValueError, match="read-only"):
            folder["a"].image[0, 0] = 0
    write_sample(tmp_path / "a", Sample(image[:4] + 1, label[:4]))
    np.testing.assert_array_equal(folder["a"].image, image[:4] + 1)


def _labelled(*values):
    """Return samples of two pixels, of which one has the value."""
    return {
        f"s{number}": Sample(np.zeros((1, 2, 1), np.uint8), np.array([[0, value]], np.uint8))
        for number, value in enumerate(values)
    }


def test_samples_with_foreground_are_those_with_more_than_background_and_ignored_pixels():
    assert list_with_foreground(_labelled(0, 1, 255, 2)) == ["s1", "s3"]
    assert list_with_foreground({}) == []


def test_descriptions_of_stored_samples_say_which_have_foreground(tmp_path):
    samples = _labelled(0, 1, 255, 1)
    _, folder = store_samples(tmp_path, samples)
    nowhere = SampleFolder(tmp_path / "nowhere", folder.descriptions)  # so that no label is read
    assert list_with_foreground(nowhere) == list_with_foreground(samples) == ["s1", "s3"]
    undescribed = SampleFolder(folder.folder, {name: {} for name in folder})
    assert list_with_foreground(undescribed) == ["s1", "s3"]


def test_evenly_chosen_samples_hold_foreground_in_proportion():
    samples = _labelled(*[1 if number % 10 == 3 else 0 for number in range(100)])
    chosen = spread_evenly(samples, 20)
    assert len(chosen) == 20
    assert sum(int(samples[name].label.any()) for name in chosen) == 2
    assert chosen == [name for name in samples if name in chosen]
    assert chosen == spread_evenly(samples, 20)
    empty = [int(name[1:]) for name in chosen if not samples[name].label.any()]
    assert max(np.diff(empty)) < 12


@given(st.lists(st.integers(0, 1), max_size=30), st.integers(1, 40))
def test_the_number_is_right_and_any_foreground_is_among_them(values, number):
    samples = _labelled(*values)
    chosen = spread_evenly(samples, number)
    assert len(chosen) == len(set(chosen)) == min(number, len(samples))
    assert any(samples[name].label.any() for name in chosen) == any(values)
