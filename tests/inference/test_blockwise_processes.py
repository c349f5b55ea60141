"""Block-wise segmentation in child processes: their memory, and what follows a kill."""

import json
import multiprocessing
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.support import killed_blocks as cut_off
from tests.support.killed_blocks import SEGMENTER
from tests.support.large_files import read_result, smooth_pixels
from tests.support.waiting import LIMIT, pause_randomly, wait_until
from unetflow.config.mask_export import ObjectParameters
from unetflow.core.errors import InputError
from unetflow.inference.blockwise.segment_blocks import segment_blocks
from unetflow.io.image_file import open_large

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("killed blocks")]

ROOT = Path(__file__).parents[2]
MB_OF_THE_IMAGE = 6000**2 * 2 / 2**20
MOMENTS = [
    ("block", 1),
    ("block", 9),
    *(("chunk", number) for number in (1, 2, 3, 4, 5, 20)),
    ("states", 1),
    ("states", 7),
    ("assembling", 1),
    ("assembling", 2),
    ("assembling", 3),
    ("moved", 1),
    ("moved", 2),
    ("moved", 3),
]


@pytest.fixture(scope="module")
def processes():
    """Return a context whose processes have the slow imports already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.support.killed_blocks"])
    return context


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "work"
    path.mkdir()
    tifffile.imwrite(path / "image.tif", smooth_pixels((200, 230)), tile=(32, 32))
    return path


def _start(processes, *arguments):
    process = processes.Process(target=cut_off.main, args=arguments)
    process.start()
    return process


def _assert_finished(folder, ending):
    outputs = SEGMENTER.predict_outputs(smooth_pixels((200, 230)))
    separating = SEGMENTER.postprocessing.with_objects(ObjectParameters())
    probabilities, label, objects = separating.segment(outputs)
    np.testing.assert_array_equal(read_result(folder / f"labels{ending}"), label, strict=True)
    np.testing.assert_array_equal(read_result(folder / f"p{ending}"), probabilities[:, :, 0])
    np.testing.assert_array_equal(read_result(folder / f"n{ending}"), objects.numbers, strict=True)
    expected = {"image.tif", f"labels{ending}", f"n{ending}", f"p{ending}"}
    assert {path.name for path in folder.iterdir()} == expected


@pytest.mark.parametrize(("what", "number"), MOMENTS)
@pytest.mark.parametrize("ending", [".tif", ".zarr"])
def test_a_killed_call_is_resumed_to_the_same_result(processes, folder, ending, what, number):
    process = _start(processes, folder, ending, what, str(number))
    process.join(LIMIT)
    assert process.exitcode == -signal.SIGKILL
    cut_off.main(folder, ending)
    _assert_finished(folder, ending)


def test_a_call_that_is_killed_repeatedly_is_resumed_to_the_same_result(processes, folder):
    for what, number in [("block", 3), ("states", 2), ("chunk", 2), ("block", 12), ("moved", 1)]:
        process = _start(processes, folder, ".tif", what, str(number))
        process.join(LIMIT)
        assert process.exitcode == -signal.SIGKILL
    cut_off.main(folder, ".tif")
    _assert_finished(folder, ".tif")


@pytest.mark.parametrize("trial", range(3))
def test_a_call_that_is_killed_at_a_random_moment_is_resumed(processes, folder, trial):
    process = _start(processes, folder, ".tif", "slow")
    wait_until((folder.parent / "begun").exists)
    pause_randomly(0.4)
    process.kill()
    process.join(LIMIT)
    assert process.exitcode == -signal.SIGKILL
    cut_off.main(folder, ".tif")
    _assert_finished(folder, ".tif")


def test_a_second_process_is_refused_while_the_first_one_writes(processes, folder):
    process = _start(processes, folder, ".tif", "slow")
    wait_until((folder.parent / "begun").exists)
    for own, other, taken in (("labels.tif", "q.tif", "labels.tif"), ("r.tif", "p.tif", "p.tif")):
        with open_large(folder / "image.tif") as image, pytest.raises(InputError) as caught:
            segment_blocks(SEGMENTER, image, folder / own, probabilities=folder / other)
        assert caught.value.where == str(folder / taken)
        assert caught.value.problem == "another process is writing it"
    process.join(LIMIT)
    assert process.exitcode == 0
    _assert_finished(folder, ".tif")


def test_the_lock_of_a_killed_process_blocks_no_other_one(processes, folder):
    process = _start(processes, folder, ".tif", "block", "2")
    process.join(LIMIT)
    assert process.exitcode == -signal.SIGKILL
    left = {path.name for path in folder.glob(".*.lock")}
    assert left == {".labels.tif.lock", ".n.tif.lock", ".p.tif.lock"}
    cut_off.main(folder, ".tif")
    _assert_finished(folder, ".tif")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts memory as Linux does")
@pytest.mark.parametrize("kind", ["mapped", "wide"])
def test_memory_does_not_grow_with_the_image(tmp_path, kind):
    told = _segment_large(tmp_path, 6000, kind, "none")
    assert told["blocks"] >= 36
    # The probabilities alone are twice as large as the image, and the labels half as large.
    assert told["peak"] - told["before"] < 1.75 * MB_OF_THE_IMAGE


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts memory as Linux does")
def test_memory_for_objects_does_not_grow_with_the_image(tmp_path):
    edges = 2304, 3072  # at least three regions in each direction, and more than the buffers hold
    small, large = (_segment_large(tmp_path, edge, "tiles", "auto", 512, "small") for edge in edges)
    assert large["objects"] > 1.7 * small["objects"] > 6000
    # Numbers, landscape and probabilities have four bytes for each pixel. 3,000 more objects take
    # less than the additional pixels of one of these.
    assert large["peak"] - small["peak"] < (edges[1] ** 2 - edges[0] ** 2) * 4 / 2**20


def _segment_large(folder, edge, kind, method, block=1024, buffers="whole"):
    options = [str(folder), str(edge), str(block), kind, method, buffers]
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.large_memory", *options],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    return json.loads(done.stdout)
