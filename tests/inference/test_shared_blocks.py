"""Blocks of a large image, computed by the workers of a Dask cluster."""

import shutil

import numpy as np
import pytest
import tifffile

from tests.support.cluster_tasks import (
    Killer,
    assert_only_tasks_of_the_victim_were_repeated,
    read_notes,
)
from tests.support.large_files import (
    count_done,
    in_memory,
    learned_segmenter,
    read_result,
    smooth_pixels,
    with_rule,
)
from tests.support.shared_blocks import noting_segmenter, serialise
from unetflow.config.mask_export import BackgroundParameters, ExecutorParameters
from unetflow.core.errors import InputError
from unetflow.inference.blockwise.segment_blocks import segment_blocks
from unetflow.inference.executor import open_executor
from unetflow.io.image_file import open_large

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("shared blocks")]  # workers for all

PIXELS = smooth_pixels((200, 230))
OPTIONS = {"block": 1}
ALONE = noting_segmenter()


def open_workers(workers, folder, hold=None):
    parameters = ExecutorParameters(executor="dask", workers=workers)
    return open_executor(parameters, noting_segmenter(folder, hold), serialise)


@pytest.fixture(scope="module")
def folder_of_notes(tmp_path_factory):
    return tmp_path_factory.mktemp("shared") / "notes"


@pytest.fixture(scope="module")
def executor(folder_of_notes):
    with open_workers(2, folder_of_notes) as opened:
        yield opened


@pytest.fixture
def image(tmp_path):
    tifffile.imwrite(tmp_path / "image.tif", PIXELS, tile=(32, 32), compression="zlib")
    with open_large(tmp_path / "image.tif") as opened:
        yield opened


@pytest.fixture
def notes(folder_of_notes):
    shutil.rmtree(folder_of_notes, ignore_errors=True)
    folder_of_notes.mkdir()
    return folder_of_notes


def segment(image, folder, name, **options):
    summary = segment_blocks(
        ALONE,
        image,
        folder / f"{name}.tif",
        probabilities=folder / f"{name}_p.zarr",
        **OPTIONS | options,
    )
    return (
        (summary.blocks, summary.skipped),
        read_result(folder / f"{name}.tif"),
        read_result(folder / f"{name}_p.zarr"),
    )


def assert_same(one, other):
    assert one[0] == other[0]
    for ours, theirs in zip(one[1:], other[1:], strict=True):
        np.testing.assert_array_equal(ours, theirs, strict=True)


SOME_SKIPPED = BackgroundParameters(min_deviation=float(np.std(PIXELS[:60, :60])) + 1e-6)


@pytest.mark.parametrize("background", [None, SOME_SKIPPED])
def test_workers_return_the_results_of_one_process(executor, image, tmp_path, notes, background):
    wanted = with_rule(background)
    here = segment(image, tmp_path, "here", wanted=wanted)
    there = segment(image, tmp_path, "there", wanted=wanted, executor=executor)
    assert_same(there, here)
    blocks, skipped = here[0]
    assert (0 < skipped < blocks) == (background is not None)
    assert len(read_notes(notes)) == blocks - skipped


def test_a_killed_worker_costs_its_own_blocks_only(image, tmp_path, notes):
    done = []
    killer = Killer(notes, lambda: len(done))
    killer.start()
    with open_workers(2, notes, hold=9) as opened:
        there = segment(
            image,
            tmp_path,
            "there",
            executor=opened,
            on_block=lambda *counts: done.append(counts),
        )
    assert_same(there, segment(image, tmp_path, "here"))
    blocks = there[0][0]
    assert done == [(number + 1, blocks) for number in range(blocks)]
    assert killer.done < blocks == len(read_notes(notes))
    assert_only_tasks_of_the_victim_were_repeated(notes, killer, read_notes(notes), limit=4)


class CutOffError(Exception):
    """Cuts a segmentation off."""


def stop_at(number):
    def on_block(done, blocks):
        if done == number:
            raise CutOffError

    return on_block


@pytest.mark.parametrize("first", ["here", "there"])
def test_a_call_in_one_process_is_resumed_by_workers_and_vice_versa(
    executor, image, tmp_path, notes, first
):
    ways = {"here": {}, "there": {"executor": executor}}
    with pytest.raises(CutOffError):
        segment(image, tmp_path, "a", on_block=stop_at(6), **ways.pop(first))
    ((_, other),) = ways.items()
    summary = segment_blocks(
        ALONE,
        image,
        tmp_path / "a.tif",
        probabilities=tmp_path / "a_p.zarr",
        **OPTIONS | other,
    )
    assert summary.found == 6
    expected = segment(image, tmp_path, "b")
    np.testing.assert_array_equal(read_result(tmp_path / "a.tif"), expected[1], strict=True)


def test_a_damaged_part_is_reported_and_the_other_blocks_are_kept(executor, tmp_path, notes):
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, PIXELS, tile=(32, 32), compression="zlib")
    with tifffile.TiffFile(path) as tiff:
        offset = tiff.pages[0].dataoffsets[-1]
    with path.open("r+b") as opened:
        opened.seek(offset)
        opened.write(b"\xff" * 40)
    with open_large(path) as image, pytest.raises(InputError, match=r"block \d+:200, \d+:230") as e:
        segment(image, tmp_path, "a", executor=executor)
    assert e.value.where == str(path)
    assert count_done(tmp_path / ".a.tif.unfinished") > 5


def test_an_image_that_changes_during_the_call_is_refused(executor, image, tmp_path, notes):
    tifffile.imwrite(tmp_path / "image.tif", PIXELS[::-1])
    with pytest.raises(InputError, match="a worker finds another file there"):
        segment(image, tmp_path, "a", executor=executor)


def test_pixels_in_memory_cannot_be_shared(executor, tmp_path, notes):
    with pytest.raises(InputError, match="not a file that workers can open"):
        segment(
            in_memory(PIXELS),
            tmp_path,
            "a",
            executor=executor,
        )


def test_workers_return_what_objects_need(image, tmp_path):
    segmenter, parameters = learned_segmenter(), ExecutorParameters(executor="dask", workers=2)
    found = []
    with open_executor(parameters, segmenter, lambda _: learned_segmenter) as executor:
        for options in ({}, {"executor": executor}):
            target = tmp_path / f"{len(found)}.tif"
            segment_blocks(
                segmenter, image, tmp_path / "a.tif", instances=target, **OPTIONS, **options
            )
            found.append(read_result(target))
    assert found[0].max() > 20
    np.testing.assert_array_equal(found[1], found[0], strict=True)
