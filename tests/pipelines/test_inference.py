"""Masks by a model from anywhere, in a project that has never seen any data."""

import json
import os
import re
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import roifile
import tifffile
from PIL import Image
from pycocotools.coco import COCO
from scipy import ndimage

from tests.conftest import kedro_run
from unetflow.inference.segmenter import Segmenter
from unetflow.io.formats.readers import read_image
from unetflow.io.pixel_size import PixelSize, read_pixel_size

# one process makes the run that all look at
pytestmark = pytest.mark.xdist_group("finished")

Finished = tuple[Path, object]


@pytest.fixture
def images(finished: Finished, tmp_path: Path) -> Path:
    """Return a folder with a training-like image that knows its scale, and a much darker one."""
    source = sorted((finished[0] / "data/01_raw/demo/images").iterdir())[0]
    image = read_image(source)[:, :, 0]
    folder = tmp_path / "images"
    folder.mkdir()
    metadata = {"unit": "um", "axes": "YX"}
    tifffile.imwrite(folder / "like.tif", image, imagej=True, resolution=(4, 4), metadata=metadata)
    Image.fromarray(image // 8).save(folder / "dark.png")
    return folder


def _infer(project: Path, images: Path, model: str, *more: str) -> tuple[int, str, Path]:
    out = images.parent / "out"
    params = ",".join([f"images={images}", f"output={out}", f"segmenter={model}", *more])
    result = kedro_run(project, "--pipelines", "inference", "--params", params)
    return result.exit_code, result.output, out


def _read(images: Path, name: str) -> np.ndarray:
    (path,) = images.glob(f"{name}.*")
    return read_image(path)


def _label(path: Path) -> np.ndarray:
    return read_image(path)[:, :, 0]


def _check_objects(out: Path, images: Path) -> None:
    """Hold the objects' files against the labels and each other."""
    table = pd.read_parquet(out / "objects.parquet")
    sheet = pd.read_csv(out / "objects.csv", dtype={"image": str})
    assert list(sheet.columns) == list(table.columns)
    assert len(sheet) == len(table)
    for name in ("like", "dark"):
        own = table[table["image"] == name]
        numbers = tifffile.imread(out / f"instances/{name}.tif")
        expected = ndimage.label(_label(out / f"labels/{name}.tif"), np.ones((3, 3)))[0]
        assert own["object"].tolist() == list(range(1, numbers.max() + 1))
        np.testing.assert_array_equal(numbers, expected)
        assert own["area_px"].tolist() == np.bincount(numbers.ravel())[1:].tolist()
        features = json.loads((out / f"polygons/{name}.geojson").read_text())["features"]
        regions = roifile.roiread(out / f"rois/{name}.zip") if len(own) else []
        assert len(features) == len(own) == len(regions)
        assert own["unlike_training"].str.startswith("unlike").tolist() == len(own) * [
            name == "dark"
        ]
        coco = COCO(out / "coco.json")
        (image_id,) = [key for key, one in coco.imgs.items() if Path(one["file_name"]).stem == name]
        annotations = coco.loadAnns(coco.getAnnIds(image_id))
        assert [a["area"] for a in annotations] == own["area_px"].tolist()
        for number, annotation in enumerate(annotations, start=1):
            np.testing.assert_array_equal(coco.annToMask(annotation), numbers == number)
    assert len(table) > 0
    for name in ("labels", "instances"):
        assert read_pixel_size(out / name / "like.tif") == PixelSize(0.25, 0.25)
        assert read_pixel_size(out / name / "dark.tif") is None
        with tifffile.TiffFile(out / name / "like.tif") as tiff:
            assert tiff.imagej_metadata["unit"] == "um"
    measured = table["area_um2"].notna()
    assert measured.tolist() == (table["image"] == "like").tolist()


def _check_images(out: Path, output: str) -> None:
    """Hold the tables of images against the table of objects, and the closing line against both."""
    objects = pd.read_parquet(out / "objects.parquet")
    table = pd.read_parquet(out / "images.parquet").set_index("image")
    sheet = pd.read_csv(out / "images.csv", dtype={"image": str})
    assert list(sheet.columns) == ["image", *table.columns]
    assert sorted(table.index) == sorted(sheet["image"]) == ["dark", "like"]
    for name, row in table.iterrows():
        own = objects[objects["image"] == name]
        assert row["count_nucleus"] == len(own)
        assert row["area_nucleus_px"] == own["area_px"].sum()
        assert row["fraction_nucleus"] == _label(out / f"labels/{name}.tif").mean()
        assert row["unlike_training"].startswith("unlike") == (name == "dark")
        assert row["reason"] == ""
    counts = table["count_nucleus"]
    told = f"Counts: 2 images, {counts.sum()} objects? of class 'nucleus', "
    assert re.search(f"{told}{counts.min()} to {counts.max()} an image\n", output)


@pytest.mark.slow
def test_a_model_file_is_enough(finished: Finished, project: Path, images: Path) -> None:
    model = finished[0] / "data/06_models/segmenter.keras"
    code, output, out = _infer(project, images, str(model))
    assert code == 0, output
    assert not (project / "data/02_intermediate").exists()
    segmenter = Segmenter.load(model).on_runtime("auto")
    for name in ("like", "dark"):
        expected = segmenter.predict(_read(images, name))
        np.testing.assert_array_equal(_label(out / f"labels/{name}.tif"), expected)
    assert len(pd.read_csv(out / "failed.csv")) == 0
    _check_objects(out, images)
    _check_images(out, output)
    assert "dark: unlike the training data: brightness" in " ".join(output.split())
    assert "like: unlike" not in output
    assert not (out / "probabilities").exists()


@pytest.mark.slow
def test_a_registered_model_gives_the_same_and_what_parameters_and_catalog_ask_for(
    finished: Finished,
    project: Path,
    images: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    caplog: pytest.LogCaptureFixture,
) -> None:
    address = f"sqlite:///{finished[0] / 'mlflow.db'}"
    client = mlflow.MlflowClient(address)
    version = max(int(v.version) for v in client.search_model_versions("name='unetflow'"))
    client.set_registered_model_alias("unetflow", "served", str(version))
    # Tests of other files use the same project.
    request.addfinalizer(lambda: client.delete_registered_model_alias("unetflow", "served"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    with (project / "conf/local/catalog.yml").open("a") as catalog:
        catalog.write(
            "labels:\n  type: partitions.PartitionedDataset\n"
            "  path: ${runtime_params:output}/labels\n  filename_suffix: .ome.tif\n"
            "  dataset: {type: unetflow.datasets.FileDataset, format: labels}\n"
        )
    ways = ("probabilities=true", "views=4", "blended_overlap=0.125", "objects=null")
    more = [f"mask_export.{way}" for way in ways]
    code, output, out = _infer(project, images, "models:/unetflow@served", *more)
    assert code == 0, output
    assert os.environ["MLFLOW_TRACKING_URI"] == address

    segmenter = Segmenter.load(finished[0] / "data/06_models/segmenter.keras").on_runtime("auto")
    overlap = round(segmenter.settings.tile / 8)
    for name in ("like", "dark"):
        found = tifffile.imread(out / f"probabilities/{name}.tif")
        expected = segmenter.predict_probabilities(_read(images, name), views=4, overlap=overlap)
        np.testing.assert_array_equal(found, expected[:, :, 0], strict=True)
        np.testing.assert_array_equal(
            _label(out / f"labels/{name}.ome.tif"), segmenter.postprocessing.apply(expected)
        )
    assert read_pixel_size(out / "probabilities/like.tif") == PixelSize(0.25, 0.25)
    assert f"Windows overlap by {overlap} pixels and are blended" in caplog.text

    with tifffile.TiffFile(out / "labels/like.ome.tif") as tiff:
        assert tiff.is_ome
        pixels = tifffile.xml2dict(tiff.ome_metadata)["OME"]["Image"]["Pixels"]
        assert (pixels["PhysicalSizeX"], pixels["PhysicalSizeXUnit"]) == (0.25, "µm")
    assert not (out / "instances").exists()
    assert json.loads((out / "coco.json").read_text())["images"] == []


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("nowhere.keras", "segmenter: there is no file"),
        ("models:/unetflow@nobody", "segmenter: there is no model models:/unetflow@nobody"),
    ],
)
def test_a_model_that_is_not_there_is_named(
    project: Path, images: Path, model: str, message: str
) -> None:
    code, output, out = _infer(project, images, model)
    assert code == 1
    assert message in " ".join(output[output.rindex("Error: ") :].split())
    assert not out.exists()
