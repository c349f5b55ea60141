"""Exports of a finished model, and whether they are worth it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.conftest import kedro_run
from unetflow.inference.segmenter import Segmenter
from unetflow.io.formats.readers import read_image

# one process makes the run that all look at
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("finished")]

QUICK = "optimisation.calibration_crops=4,optimisation.timed_images=1"


def test_what_is_kept_gives_masks_through_the_pipeline_inference(
    copy: Path, tmp_path: Path
) -> None:
    exports = copy / "data/06_models/exports"
    exports.mkdir(parents=True)
    (exports / "of_an_older_model.zip").write_bytes(b"old")
    result = kedro_run(copy, "--pipelines", "optimisation", "--params", QUICK)
    assert result.exit_code == 0, result.output
    table = pd.read_csv(copy / "data/08_reporting/runtime_benchmark.csv").set_index("name")
    assert table.loc["openvino", "kept"]
    assert table.loc["openvino", "fall"] == pytest.approx(0, abs=1e-4)
    needed = set(table.index[table["kept"]]) - {"keras", "openvino_bfloat16"}
    assert needed <= {file.stem for file in exports.iterdir()} <= needed | {"openvino"}
    assert f"Runtimes: {Path('data/08_reporting/runtime_benchmark.csv')}" in result.output

    image = sorted((copy / "data/01_raw/demo/images").iterdir())[0]
    images = tmp_path / "images"
    images.mkdir()
    (images / image.name).write_bytes(image.read_bytes())
    model = exports / "openvino.zip"
    params = f"images={images},output={tmp_path / 'out'},segmenter={model}"
    result = kedro_run(copy, "--pipelines", "inference", "--params", params)
    assert result.exit_code == 0, result.output
    found = read_image(tmp_path / "out/labels" / f"{image.stem}.tif")[:, :, 0]
    expected = Segmenter.load(model).predict(read_image(image))
    np.testing.assert_array_equal(found, expected)


def test_a_tolerance_that_is_none_is_named(copy: Path) -> None:
    result = kedro_run(copy, "--pipelines", "optimisation", "--params", "optimisation.tolerance=-1")
    assert result.exit_code == 1
    assert "optimisation.tolerance" in result.output
