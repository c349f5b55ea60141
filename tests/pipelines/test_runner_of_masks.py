"""Masks by workers of Dask, as `kedro run` makes them, and the parameters that name the runner."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import yaml

from tests.conftest import ROOT, kedro_run
from tests.support.images import random_pixels
from tests.support.networks import randomise, tiny_unet
from tests.support.segmenter_settings import make_settings
from unetflow.config.base import read_parameters
from unetflow.config.mask_export import MaskExportParameters
from unetflow.core.errors import InputError
from unetflow.data.intensity import IntensityRange

BASE = yaml.safe_load((ROOT / "conf/base/parameters_mask_export.yml").read_text())["mask_export"]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    from unetflow.inference.segmenter import Segmenter
    from unetflow.models.unet import geometry_of, with_preprocessing

    unet = randomise(tiny_unet(depth=2), seed=4)
    network = with_preprocessing(unet, IntensityRange(low=[10.0], high=[200.0]))
    classes = ["background", "nucleus"]
    settings = make_settings(classes, 0.4, 1, "uint8", geometry_of(unet), 64)
    Segmenter(network, settings).save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Write small images, one that is broken and one that goes block by block."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(5):
        pixels = random_pixels((50, 70), np.uint8, number)
        tifffile.imwrite(folder / f"{number}.tif", pixels, tile=(32, 32))
    broken = folder / "2.tif"
    broken.write_bytes(broken.read_bytes()[:200])
    tifffile.imwrite(folder / "3.tif", random_pixels((140, 130), np.uint8), tile=(32, 32))
    return folder


def _read_all(folder: Path) -> dict[str, object]:
    """Return the content of each file, of tables and pictures what can be compared."""
    found: dict[str, object] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = str(path.relative_to(folder))
        if path.suffix == ".tif":
            pixels = tifffile.imread(path)
            found[name] = (pixels.shape, pixels.dtype, pixels.tobytes())
        elif path.suffix == ".parquet":
            found[name] = pd.read_parquet(path).to_csv()
        elif path.suffix != ".zip":  # which holds the time
            found[name] = path.read_bytes()
    return found


@pytest.mark.process
def test_workers_of_dask_write_what_one_process_writes(
    project: Path, model: Path, images: Path, tmp_path: Path
) -> None:
    found = {}
    for runner, workers in (("local", "null"), ("dask", "2")):
        out = tmp_path / runner
        params = (
            f"images={images},output={out},segmenter={model},mask_export.executor={runner},"
            f"mask_export.workers={workers},mask_export.large.min_pixels=18200,"
            "mask_export.probabilities=true"
        )
        result = kedro_run(project, "--pipelines", "inference", "--params", params)
        assert result.exit_code == 1  # for the broken image
        assert "1 of 5 images could not be segmented" in " ".join(result.output.split())
        assert not any(f"{part}.py" in result.output for part in ("scheduler", "nanny", "core"))
        found[runner] = _read_all(out)
    assert found["dask"] == found["local"]
    kinds = {name.partition("/")[0] for name in found["dask"]}
    assert {"labels", "probabilities", "masks", "instances", "failed.csv", "objects.csv"} <= kinds
    assert sum(name.startswith("labels/") for name in found["dask"]) == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"executor": "spark"}, "mask_export.executor"),
        ({"executor": "dask", "workers": 0}, "mask_export.workers"),
        ({"executor": "dask", "scheduler": "8786"}, "mask_export.scheduler"),
        ({"workers": 2}, "workers is for the executor 'dask'"),
        ({"scheduler": "tcp://a:1"}, "scheduler is for the executor 'dask'"),
        ({"executor": "dask", "workers": 2, "scheduler": "tcp://a:1"}, "set one of them to null"),
    ],
)
def test_a_wrong_executor_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_parameters(MaskExportParameters, {**BASE, **changes}, "mask_export")
