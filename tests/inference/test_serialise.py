"""Serialisation of segmenters for the workers of a Dask cluster."""

import numpy as np
import pytest
import tifffile

from unetflow.config.mask_export import ExecutorParameters
from unetflow.inference.blockwise.segment_blocks import segment_blocks
from unetflow.inference.executor import open_executor
from unetflow.inference.postprocessing import Postprocessing
from unetflow.inference.segmenter import Segmenter
from unetflow.io.image_file import open_large


def test_a_serialised_segmenter_predicts_the_same(segmenter, random):
    image = random.integers(0, 256, (70, 90), np.uint8)
    loaded = segmenter.serialise()()
    assert loaded.settings == segmenter.settings
    np.testing.assert_array_equal(
        loaded.predict_probabilities(image), segmenter.predict_probabilities(image), strict=True
    )


@pytest.mark.parametrize("runtime", ["openvino", "onnx"])
def test_a_converted_network_is_serialised_as_it_is(exports, random, runtime):
    image = random.integers(0, 256, (70, 90), np.uint8)
    converted = Segmenter.start(exports[runtime])
    serialised = converted.serialise()
    loaded = serialised()
    assert loaded.runtime.name == runtime
    assert loaded.runtime.parts == converted.runtime.parts
    np.testing.assert_array_equal(
        loaded.predict_probabilities(image), converted.predict_probabilities(image), strict=True
    )
    assert loaded.serialise()().runtime.parts == converted.runtime.parts


@pytest.mark.process
def test_a_worker_returns_the_blocks_of_this_process(segmenter, tmp_path, random):
    tifffile.imwrite(tmp_path / "image.tif", random.integers(0, 256, (150, 171), np.uint8))
    segmenter = segmenter.with_postprocessing(
        Postprocessing(threshold=0.4, temperature=1.3, min_object_size=9)
    )
    found = {}
    with open_executor(
        ExecutorParameters(executor="dask", workers=1), segmenter, Segmenter.serialise
    ) as executor:
        for name, options in {"here": {}, "there": {"executor": executor}}.items():
            targets = tmp_path / f"{name}.tif", tmp_path / f"{name}_p.tif"
            with open_large(tmp_path / "image.tif") as image:
                done = segment_blocks(
                    segmenter, image, targets[0], probabilities=targets[1], block=60, **options
                )
            assert done.blocks > 4
            found[name] = [tifffile.imread(target) for target in targets]
    for here, there in zip(*found.values(), strict=True):
        np.testing.assert_array_equal(here, there, strict=True)
