"""Unfinished segmentations: how they are resumed, refused and reported."""

import shutil

import numpy as np
import pytest
import tifffile

from tests.support.large_files import (
    CLEANING,
    RULES,
    Function,
    grey,
    in_memory,
    whole_result,
    with_rule,
)
from unetflow.core.errors import InputError
from unetflow.inference.blockwise.segment_blocks import segment_blocks
from unetflow.inference.segmenter import Segmenter


class CutOffError(Exception):
    """Interrupts a segmentation."""


def with_settings(**changes):
    return Segmenter(CLEANING.runtime, CLEANING.settings.model_copy(update=changes))


def with_postprocessing(**changes):
    return CLEANING.with_postprocessing(CLEANING.postprocessing.model_copy(update=changes))


def with_runtime(predict=CLEANING.runtime, identity=CLEANING.runtime.identity):
    return Segmenter(Function(predict, identity=identity), CLEANING.settings)


def cut_off(image, segmenter, target, after, **options):
    def stop(done, blocks):
        if done == after:
            raise CutOffError

    with pytest.raises(CutOffError):
        segment_blocks(segmenter, image, target, on_block=stop, block=40, **options)


def test_finished_blocks_are_not_predicted_again(tmp_path):
    cut_off(in_memory(grey()), CLEANING, tmp_path / "a.tif", 4)
    calls = []

    def counting(batch):
        calls.append(batch)
        return CLEANING.runtime(batch)

    summary = segment_blocks(
        with_runtime(counting), in_memory(grey()), tmp_path / "a.tif", block=40
    )
    assert summary.found == 4
    assert calls
    label, _ = whole_result(CLEANING, grey()[:, :, None])
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), label)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]


def test_another_smallest_object_needs_no_new_prediction(tmp_path):
    cut_off(in_memory(grey()), CLEANING, tmp_path / "a.tif", 6)
    other = with_postprocessing(min_object_size=3)
    assert segment_blocks(other, in_memory(grey()), tmp_path / "a.tif", block=40).found == 6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda o: o | {"image": in_memory(grey(), "second")},
            r"image \(first there, second now\)",
        ),
        (lambda o: o | {"segmenter": with_runtime(identity={"kind": "new"})}, r"model \(.*new"),
        (
            lambda o: o | {"segmenter": with_postprocessing(threshold=0.9)},
            r"threshold \(0.45 there, 0.9",
        ),
        (lambda o: o | {"segmenter": with_settings(tile=32)}, r"tile \(24 there, 32 now\)"),
        (lambda o: o | {"block": 41}, r"block \(40 there, 41 now\)"),
        (lambda o: o | {"wanted": with_rule(RULES["mean"])}, "background"),
        (lambda o: o | {"image": in_memory(grey(90, 111))}, "shape"),
    ],
)
def test_blocks_of_another_segmentation_are_refused_with_the_differences(tmp_path, change, message):
    target = tmp_path / "a.tif"
    cut_off(in_memory(grey()), CLEANING, target, 2)
    options = change({"image": in_memory(grey()), "segmenter": CLEANING, "block": 40})
    with pytest.raises(InputError, match=message) as caught:
        segment_blocks(target=target, **options)
    assert "Remove the folder to start again" in caught.value.fix
    assert segment_blocks(CLEANING, in_memory(grey()), target, block=40).found == 2


@pytest.mark.parametrize("damage", ["truncated", "empty", "missing"])
def test_damaged_blocks_are_reported_until_their_folder_is_removed(tmp_path, damage):
    cut_off(in_memory(grey()), CLEANING, tmp_path / "a.tif", 12)
    store = tmp_path / ".a.tif.unfinished"
    chunk = store / "labels/c/0/0"
    if damage == "missing":
        chunk.unlink()
    else:
        chunk.write_bytes(chunk.read_bytes()[:-9] if damage == "truncated" else b"")
    with pytest.raises(InputError, match="its unfinished blocks are damaged") as caught:
        segment_blocks(CLEANING, in_memory(grey()), tmp_path / "a.tif", block=40)
    assert str(store) in caught.value.fix
    shutil.rmtree(store)
    segment_blocks(CLEANING, in_memory(grey()), tmp_path / "a.tif", block=40)
    label, _ = whole_result(CLEANING, grey()[:, :, None])
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), label)


@pytest.mark.parametrize("content", ["{", "[]", ""])
def test_a_damaged_identity_is_reported(tmp_path, content):
    cut_off(in_memory(grey()), CLEANING, tmp_path / "a.tif", 1)
    (tmp_path / ".a.tif.unfinished" / "zarr.json").write_text(content)
    with pytest.raises(InputError, match="it is damaged"):
        segment_blocks(CLEANING, in_memory(grey()), tmp_path / "a.tif", block=40)


def test_blocks_without_an_identity_are_not_trusted(tmp_path):
    cut_off(in_memory(grey()), CLEANING, tmp_path / "a.tif", 2)
    (tmp_path / ".a.tif.unfinished" / "zarr.json").unlink()
    assert segment_blocks(CLEANING, in_memory(grey()), tmp_path / "a.tif", block=40).found == 0


@pytest.mark.parametrize(
    ("write", "stop"), [("block_store.atomic_write", 2), ("block_store.write_result", 9)]
)
def test_a_full_disk_keeps_the_blocks_before(tmp_path, monkeypatch, write, stop):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    cut_off(in_memory(grey()), CLEANING, tmp_path / "a.tif", stop)
    with monkeypatch.context() as patch:
        patch.setattr(f"unetflow.inference.blockwise.{write}", full)
        with pytest.raises(InputError, match=r"No space left on device\); .* are kept"):
            segment_blocks(CLEANING, in_memory(grey()), tmp_path / "a.tif", block=40)
    done = segment_blocks(CLEANING, in_memory(grey()), tmp_path / "a.tif", block=40)
    assert done.found >= stop
    assert done.blocks == 12
