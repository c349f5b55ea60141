"""A segmenter in workers of Dask: what it finds, and how it gets there."""

import numpy as np
import pytest
import tifffile

from unetflow.inference.blockwise.segment import segment_large
from unetflow.inference.cluster.serialise import pack
from unetflow.inference.executor import ExecutorSettings, open_executor
from unetflow.io.large_image import open_large


def test_a_packed_segmenter_predicts_the_same(segmenter, random):
    image = random.integers(0, 256, (70, 90), np.uint8)
    unpacked = pack(segmenter)()
    assert unpacked.settings == segmenter.settings
    np.testing.assert_array_equal(
        unpacked.predict_probabilities(image), segmenter.predict_probabilities(image), strict=True
    )


@pytest.mark.parametrize("engine", ["openvino", "onnx"])
def test_a_converted_network_is_packed_as_it_is(segmenter, random, engine):
    image = random.integers(0, 256, (70, 90), np.uint8)
    converted = segmenter.on_engine(engine)
    packed = pack(converted)
    unpacked = packed()
    assert unpacked.engine.name == engine
    assert unpacked.engine.parts == converted.engine.parts
    np.testing.assert_array_equal(
        unpacked.predict_probabilities(image), converted.predict_probabilities(image), strict=True
    )
    assert pack(unpacked)().engine.parts == converted.engine.parts


def test_workers_find_the_blocks_that_one_process_finds(segmenter, tmp_path, random):
    tifffile.imwrite(tmp_path / "image.tif", random.integers(0, 256, (150, 171), np.uint8))
    segmenter = segmenter.with_decision(0.4, 1.3, 9)
    found = {}
    with open_executor(ExecutorSettings("dask", workers=2), segmenter, pack) as runner:
        for name, options in {"here": {}, "there": {"runner": runner}}.items():
            targets = tmp_path / f"{name}.tif", tmp_path / f"{name}_p.tif"
            with open_large(tmp_path / "image.tif") as image:
                done = segment_large(
                    segmenter, image, targets[0], probabilities=targets[1], block=60, **options
                )
            assert done.blocks > 4
            found[name] = [tifffile.imread(target) for target in targets]
    for here, there in zip(*found.values(), strict=True):
        np.testing.assert_array_equal(here, there, strict=True)
