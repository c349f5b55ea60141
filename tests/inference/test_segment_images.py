"""Segmentation of many images by the workers of a Dask cluster."""

from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
import tifffile

from tests.support.cluster_tasks import (
    Killer,
    assert_only_tasks_of_the_victim_were_repeated,
    read_notes,
)
from tests.support.images import random_pixels
from tests.support.recording_segmenter import MakeSegmenter, serialise
from unetflow.config.mask_export import ExecutorParameters, LargeParameters, MaskExportParameters
from unetflow.core.errors import InputError
from unetflow.inference.blockwise.result_files import ResultFolders
from unetflow.inference.executor import Executor, open_executor
from unetflow.inference.segment import segment
from unetflow.instances.large_objects import LargeObjects
from unetflow.instances.objects import Objects
from unetflow.io.image_file import ImageFile

pytestmark = pytest.mark.process

COUNT = 24


@pytest.fixture
def notes(tmp_path):
    (tmp_path / "notes").mkdir()
    return tmp_path / "notes"


@pytest.fixture
def images(tmp_path):
    """Write images, of which one is broken and one is large."""
    found = {}
    for number in range(COUNT):
        found[f"image {number}"] = ImageFile(tmp_path / f"{number}.tif")
        tifffile.imwrite(found[f"image {number}"].file, random_pixels((60, 80), np.uint8, number))
    broken = found["image 3"].file
    broken.write_bytes(broken.read_bytes()[:90])
    tifffile.imwrite(found["image 20"].file, random_pixels((300, 290), np.uint8), tile=(64, 64))
    return found


WANTED = MaskExportParameters(probabilities=True, large=LargeParameters(min_pixels=300 * 290))


def folders(parent):
    return ResultFolders(parent / "labels", parent / "probabilities", ".tif")


def assert_same(one, other):
    assert type(one) is type(other)
    if isinstance(one, InputError):
        assert str(one) == str(other)
        return
    for field in fields(one):
        ours, theirs = getattr(one, field.name), getattr(other, field.name)
        if isinstance(ours, Objects):
            np.testing.assert_array_equal(ours.numbers, theirs.numbers, strict=True)
            np.testing.assert_array_equal(ours.classes, theirs.classes, strict=True)
        elif isinstance(ours, LargeObjects):
            np.testing.assert_array_equal(ours.classes, theirs.classes, strict=True)
            np.testing.assert_array_equal(ours.boxes, theirs.boxes, strict=True)
        elif isinstance(ours, np.ndarray):
            np.testing.assert_array_equal(ours, theirs, strict=True)
        elif isinstance(ours, pd.DataFrame):
            pd.testing.assert_frame_equal(ours, theirs)
        else:
            assert ours == theirs


@pytest.mark.parametrize("shares_files", [True, False])
def test_results_are_the_same_when_a_worker_is_killed(
    images, tmp_path, notes, shares_files, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    images = {name: ImageFile(image.file.relative_to(tmp_path)) for name, image in images.items()}
    alone = MakeSegmenter(tmp_path / "unwatched")()
    expected = dict(segment(alone, images, WANTED, folders(tmp_path / "here")))
    found = {}
    killer = Killer(notes, lambda: len(found))
    killer.start()
    segmenter = MakeSegmenter(notes, hold=COUNT // 2)()
    with open_executor(
        ExecutorParameters(executor="dask", workers=2), segmenter, serialise
    ) as executor:
        executor.shares_files = shares_files
        outcomes = segment(segmenter, images, WANTED, folders(tmp_path / "there"), executor)
        for name, outcome in outcomes:  # one by one, as the killer counts them
            found[name] = outcome
    assert list(found) == list(expected) == list(images)
    assert isinstance(found["image 3"], InputError)
    assert found["image 20"].label is None
    for name in images:
        assert_same(found[name], expected[name])
    for kind in ("labels", "probabilities", "instances"):
        one, other = (
            tifffile.imread(tmp_path / w / kind / "image 20.tif") for w in ("here", "there")
        )
        np.testing.assert_array_equal(one, other, strict=True)
    assert killer.done < COUNT
    batches = read_notes(tmp_path / "unwatched")
    assert_only_tasks_of_the_victim_were_repeated(notes, killer, batches, limit=4)


def test_this_process_is_an_executor_too(images, tmp_path, notes):
    segmenter = MakeSegmenter(notes)()
    names = [name for name, _ in segment(segmenter, images, WANTED, folders(tmp_path))]
    again = segment(segmenter, images, WANTED, folders(tmp_path), Executor(segmenter))
    assert [name for name, _ in again] == names == list(images)
