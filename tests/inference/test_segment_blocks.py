import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.images import random_pixels
from tests.support.large_files import (
    CLEANING,
    GEOMETRIES,
    RULES,
    Function,
    as_segmenter,
    cheap_segmenter,
    grey,
    in_memory,
    read_result,
    smooth_pixels,
    whole_result,
    with_rule,
)
from unetflow.config.base import read_parameters
from unetflow.config.mask_export import BackgroundParameters
from unetflow.core.errors import InputError
from unetflow.inference.blockwise.image_blocks import plan_blocks
from unetflow.inference.blockwise.segment_blocks import segment_blocks
from unetflow.inference.blockwise.small_objects import SmallObjects
from unetflow.inference.postprocessing import Postprocessing, remove_small_objects
from unetflow.io.image_file import open_large

UNTUNED = Postprocessing.untuned(1)


def assert_is_whole(
    image, segmenter, folder, target="labels.tif", probabilities="p.tif", **options
):
    """Segment block by block and compare with the whole image in memory."""
    summary = segment_blocks(
        segmenter, image, folder / target, probabilities=folder / probabilities, **options
    )
    label, expected = whole_result(segmenter, image.read((0, image.shape[0]), (0, image.shape[1])))
    found = read_result(folder / target)
    np.testing.assert_array_equal(found, label, strict=True)
    stored = read_result(folder / probabilities)
    np.testing.assert_array_equal(stored, expected[:, :, 0] if expected.shape[2] == 1 else expected)
    assert {path.name for path in folder.iterdir()} == {target, probabilities}
    return summary


@pytest.mark.parametrize("kind", GEOMETRIES)
@pytest.mark.parametrize("targets", [("a.tif", "p.tif"), ("a.zarr", "p.zarr")])
def test_blocks_give_the_result_of_the_whole_image(tmp_path, kind, targets):
    segmenter = cheap_segmenter(kind, temperature=1.7, threshold=0.45, min_object_size=25)
    pixels = smooth_pixels((163, 190))
    summary = assert_is_whole(in_memory(pixels), segmenter, tmp_path, *targets, block=50)
    assert summary.blocks >= 9
    assert (summary.found, summary.skipped) == (0, 0)
    keep_all = segmenter.postprocessing.model_copy(update={"min_object_size": 0})
    label, _ = whole_result(segmenter.with_postprocessing(keep_all), pixels[:, :, None])
    assert 0.1 < label.mean() < 0.9


@settings(max_examples=15)
@given(
    st.sampled_from(sorted(GEOMETRIES)),
    st.tuples(st.integers(1, 70), st.integers(1, 70)),
    st.integers(1, 40),
    st.integers(1, 60),
)
def test_blocks_of_any_size_give_the_result_of_the_whole_image(
    tmp_path_factory, kind, size, tile, block
):
    segmenter = cheap_segmenter(kind, tile=tile, min_object_size=8)
    folder = tmp_path_factory.mktemp("blocks")
    assert_is_whole(in_memory(smooth_pixels(size)), segmenter, folder, block=block)


@given(
    st.sampled_from(sorted(GEOMETRIES)),
    st.tuples(st.integers(1, 400), st.integers(1, 400)),
    st.integers(1, 60),
    st.integers(1, 120),
)
def test_blocks_cover_each_pixel_once_and_respect_the_longest_edge(kind, size, tile, edge):
    blocks = plan_blocks(*size, GEOMETRIES[kind], tile, edge)
    seen = np.zeros(size, int)
    for number, block in enumerate(blocks):
        assert divmod(number, (blocks[-1].place[1] + 1)) == block.place
        seen[slice(*block.rows), slice(*block.columns)] += 1
        for length, windows in zip(block.shape, block.windows, strict=True):
            assert length <= edge or len(windows) == 1
    assert (seen == 1).all()


@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.integers(1, 12),
    st.sampled_from([0.2, 0.4, 0.6, 0.8]),
    st.integers(0, 60),
    st.integers(0, 99),
)
def test_small_objects_are_removed_as_from_the_whole_image(size, edge, share, minimum, seed):
    label = (np.random.default_rng(seed).random(size) < share).astype(np.uint8)
    blocks = plan_blocks(*size, GEOMETRIES["local"], tile=1, edge=edge)
    objects = SmallObjects(blocks, lambda b: label[slice(*b.rows), slice(*b.columns)], minimum)
    found = np.full(size, 9, np.uint8)
    for block in blocks:
        found[slice(*block.rows), slice(*block.columns)] = objects.clean(block)
    np.testing.assert_array_equal(found, remove_small_objects(label, minimum))


def test_an_object_in_many_blocks_is_one_object():
    label = np.zeros((41, 41), np.uint8)
    label[::4] = 1
    label[2::8, -1] = label[1::8, -1] = label[3::8, -1] = 1
    label[6::8, 0] = label[5::8, 0] = label[7::8, 0] = 1
    blocks = plan_blocks(41, 41, GEOMETRIES["local"], tile=1, edge=7)
    area = int(label.sum())
    for minimum, expected in ((area, label), (area + 1, 0 * label)):
        objects = SmallObjects(blocks, lambda b: label[slice(*b.rows), slice(*b.columns)], minimum)
        for block in blocks:
            part = expected[slice(*block.rows), slice(*block.columns)]
            np.testing.assert_array_equal(objects.clean(block), part)


@pytest.mark.parametrize("targets", [("a.tif", "p.tif"), ("a.zarr", "p.zarr")])
def test_several_classes_are_segmented_and_stored(tmp_path, targets):
    def predict(batch):
        share = batch[:, :, :, :1] / np.float32(255)
        return np.concatenate([share / 2, 1 - share, share / 2], axis=3).astype(np.float32)

    tuned = Postprocessing(threshold=None, temperature=2)
    runtime = Function(predict, outputs=3)
    segmenter = as_segmenter(runtime, GEOMETRIES["local"], 16, tuned, classes=3, dtype="uint8")
    image = in_memory(random_pixels((70, 60)))
    assert_is_whole(image, segmenter, tmp_path, *targets, block=30)


def test_a_predictor_may_return_labels(tmp_path):
    runtime = Function(lambda batch: (batch[:, :, :, 0] >> 14).astype(np.uint8))
    segmenter = as_segmenter(runtime, GEOMETRIES["local"], 16, UNTUNED)
    segment_blocks(segmenter, in_memory(grey()), tmp_path / "a.tif", block=40)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), grey() >> 14)
    with pytest.raises(InputError, match="gives labels, no probabilities"):
        segment_blocks(
            segmenter, in_memory(grey()), tmp_path / "a.tif", probabilities=tmp_path / "p.tif"
        )


def test_the_result_is_a_tiled_compressed_tiff(tmp_path):
    pixels = smooth_pixels((600, 530))
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in" / "a.tif", pixels, tile=(64, 64), compression="zlib")
    with open_large(tmp_path / "in" / "a.tif") as image:
        segment_blocks(CLEANING, image, tmp_path / "a.tif", block=250)
    label, _ = whole_result(CLEANING, pixels[:, :, None])
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        page = tiff.pages[0]
        assert (page.tile, page.compression.name) == ((512, 512), "ADOBE_DEFLATE")
        assert not tiff.is_bigtiff
        np.testing.assert_array_equal(page.asarray(), label)


def test_a_result_too_large_for_a_tiff_is_a_bigtiff(tmp_path, monkeypatch):
    monkeypatch.setattr("unetflow.inference.blockwise.result_files._MAX_TIFF_BYTES", 90 * 110 - 1)
    segment_blocks(cheap_segmenter(), in_memory(grey()), tmp_path / "a.tif")
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        assert tiff.is_bigtiff


def test_an_earlier_result_is_replaced(tmp_path):
    for name in ("a.tif", "a.zarr"):
        for seed in (0, 1):
            image = in_memory(grey(seed=seed), stamp=str(seed))
            segment_blocks(CLEANING, image, tmp_path / name, block=40)
            label, _ = whole_result(CLEANING, grey(seed=seed)[:, :, None])
            np.testing.assert_array_equal(read_result(tmp_path / name), label)
    assert {path.name for path in tmp_path.iterdir()} == {"a.tif", "a.zarr"}


def test_progress_is_reported_after_each_block(tmp_path):
    told = []
    segment_blocks(
        cheap_segmenter(),
        in_memory(grey()),
        tmp_path / "a.tif",
        block=40,
        on_block=lambda *n: told.append(n),
    )
    assert told == [(number + 1, len(told)) for number in range(len(told))]
    assert len(told) >= 6


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@pytest.mark.parametrize("classes", [1, 2])
def test_blocks_of_background_are_skipped_and_counted(tmp_path, rule, classes):
    pixels = np.full((96, 96), 50_000, np.uint16)
    pixels[32:64, 32:96] = random_pixels((32, 64), np.uint16) // 2

    calls = []

    def predict(batch):
        calls.append(len(batch))
        return np.full((*batch.shape[:3], classes), 0.75, np.float32)

    segmenter = as_segmenter(Function(predict, outputs=classes), GEOMETRIES["local"], 32, UNTUNED)
    summary = segment_blocks(
        segmenter,
        in_memory(pixels),
        tmp_path / "a.tif",
        probabilities=tmp_path / "p.tif",
        block=32,
        wanted=with_rule(rule),
    )
    assert (summary.blocks, summary.skipped) == (9, 7)
    assert sum(calls) == 2
    expected = np.zeros((96, 96), np.uint8)
    expected[32:64, 32:96] = 1
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), expected)
    skipped = read_result(tmp_path / "p.tif")[0, 0]
    np.testing.assert_array_equal(skipped, 0 if classes == 1 else [1, 0])


def test_a_block_is_background_only_if_all_channels_are():
    pixels = np.zeros((9, 9, 2), np.uint16)
    pixels[:, :, 1] = random_pixels((9, 9))
    rule = BackgroundParameters(min_deviation=1.0)
    assert rule.is_background(pixels[:, :, :1])
    assert not rule.is_background(pixels)


def test_an_image_of_background_alone_has_no_objects(tmp_path):
    rule = BackgroundParameters(min_deviation=1.0)
    image = in_memory(np.zeros((50, 60), np.uint16))
    summary = segment_blocks(
        CLEANING,
        image,
        tmp_path / "a.tif",
        probabilities=tmp_path / "p.tif",
        block=30,
        wanted=with_rule(rule),
    )
    assert summary.skipped == summary.blocks
    assert not tifffile.imread(tmp_path / "a.tif").any()
    assert not tifffile.imread(tmp_path / "p.tif").any()


def test_a_background_without_a_condition_is_refused():
    with pytest.raises(InputError, match="it has no condition"):
        read_parameters(BackgroundParameters, {}, "background")


def test_an_invalid_target_is_refused_before_anything_is_written(tmp_path):
    for target, other, message in [
        ("a.png", None, "the ending '.png' is not one of"),
        ("a.tif", "p.npy", "the ending '.npy' is not one of"),
        ("a.tif", "a.tif", "have one target"),
    ]:
        with pytest.raises(InputError, match=message):
            segment_blocks(
                CLEANING,
                in_memory(grey()),
                tmp_path / target,
                probabilities=None if other is None else tmp_path / other,
            )
    assert not list(tmp_path.iterdir())
