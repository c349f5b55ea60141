import tempfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.imaging.helpers import CLASSES, random_pixels, store_samples
from unetflow.imaging.errors import InputError
from unetflow.imaging.pairs import Pair
from unetflow.imaging.samples import (
    Sample,
    SampleFolder,
    open_sample,
    read_pair,
    write_sample,
    write_tiff,
)

SIDES = st.integers(1, 8)


@pytest.fixture
def pair(tmp_path):
    return Pair("a", tmp_path / "a.tif", tmp_path / "a.png")


@given(SIDES, SIDES, st.sampled_from([1, 3]), st.sampled_from([np.uint8, np.uint16]))
def test_written_sample_opens_with_equal_pixels(height, width, channels, dtype):
    image = random_pixels((height, width, channels), dtype)
    label = random_pixels((height, width)) % 3
    with tempfile.TemporaryDirectory() as folder:
        write_sample(Path(folder) / "deep" / "a", Sample(image, label))
        sample = open_sample(Path(folder) / "deep" / "a")
        np.testing.assert_array_equal(np.array(sample.image), image, strict=True)
        np.testing.assert_array_equal(np.array(sample.label), label, strict=True)


def test_opened_sample_is_a_read_only_memory_map(tmp_path):
    write_sample(tmp_path, Sample(random_pixels((4, 5, 3)), random_pixels((4, 5))))
    sample = open_sample(tmp_path)
    for pixels in (sample.image, sample.label):
        assert isinstance(pixels, np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            pixels[0, 0] = 1


def test_pair_is_read_with_its_mask_decoded(pair):
    image = random_pixels((3, 4), np.uint16)
    tifffile.imwrite(pair.image, image)
    inside = random_pixels((3, 4)) > 99
    Image.fromarray(inside).save(pair.mask)
    sample = read_pair(pair, CLASSES, max_pixels=12)
    np.testing.assert_array_equal(sample.image[:, :, 0], image)
    np.testing.assert_array_equal(sample.label, inside.astype(np.uint8), strict=True)


def test_mask_of_another_size_is_refused_with_both_sizes(pair):
    tifffile.imwrite(pair.image, random_pixels((3, 4)))
    Image.fromarray(random_pixels((4, 3))).save(pair.mask)
    with pytest.raises(InputError, match=r"mask is 3 x 4, but its image a\.tif is 4 x 3") as caught:
        read_pair(pair, CLASSES, max_pixels=12)
    assert caught.value.where == str(pair.mask)


def test_limit_of_pixels_holds_for_pairs(pair):
    tifffile.imwrite(pair.image, random_pixels((3, 4)))
    with pytest.raises(InputError, match="allowed 11"):
        read_pair(pair, CLASSES, max_pixels=11)


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


def test_refusals_are_kept_as_a_list_of_its_own(tmp_path):
    refused = [InputError("a", "b", "c")]
    folder = SampleFolder(tmp_path, [], refused)
    refused.clear()
    assert [error.where for error in folder.refused] == ["a"]
