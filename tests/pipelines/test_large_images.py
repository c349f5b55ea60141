"""Images that go block by block through `kedro run`, and kills on their way."""

import json
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import yaml
import zarr
from PIL import Image

from tests.conftest import ROOT, kedro_run
from tests.support.large_files import count_done, smooth_pixels
from tests.support.networks import randomise, threshold_amid, tiny_unet
from tests.support.segmenter_settings import make_settings
from unetflow.data.intensity import IntensityRange
from unetflow.inference.segmenter import Segmenter
from unetflow.instances.objects import find_objects
from unetflow.io.pixel_size import PixelSize, read_pixel_size
from unetflow.models.unet import geometry_of, with_preprocessing
from unetflow.visualization.overlays import CLASS_COLOURS

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("large images")]  # one model for all

SHAPE = (70, 9000)
FROM = SHAPE[0] * SHAPE[1]


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """Return a long strip."""
    return smooth_pixels(SHAPE)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, pixels: np.ndarray) -> Path:
    """Return the file of a segmenter with random weights; a fifth of the strip is cells."""
    unet = randomise(tiny_unet(depth=2, base_filters=4), seed=4)
    network = with_preprocessing(unet, IntensityRange(low=[5_000.0], high=[60_000.0]))
    settings = make_settings(
        ["background", "cell"],
        0.5,
        1,
        "uint16",
        geometry_of(unet),
        256,
        temperature=1.7,
        min_object_size=6,
    )
    found = Segmenter(network, settings).predict_probabilities(pixels)
    path = tmp_path_factory.mktemp("model") / "segmenter.keras"
    tuned = settings.postprocessing.model_copy(update={"threshold": threshold_amid(found, 20)})
    Segmenter(network, settings).with_postprocessing(tuned).save(path)
    return path


@pytest.fixture(scope="module")
def segmenter(model: Path) -> Segmenter:
    return Segmenter.load(model)


@pytest.fixture
def images(tmp_path: Path, pixels: np.ndarray) -> Path:
    """Return a folder with a large image, and one that is a little smaller."""
    folder = tmp_path / "images"
    folder.mkdir()
    metadata = {"PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "µm", "axes": "YX"}
    metadata |= {"PhysicalSizeY": 0.25, "PhysicalSizeYUnit": "µm"}
    tifffile.imwrite(
        folder / "slide.ome.tif", pixels, tile=(32, 512), compression="zlib", metadata=metadata
    )
    tifffile.imwrite(folder / "small.tif", pixels[:, :700])
    return folder


def _arguments(model: Path, images: Path, *more: str) -> tuple[str, ...]:
    params = [
        f"images={images}",
        f"output={images.parent / 'out'}",
        f"segmenter={model}",
        f"mask_export.large.min_pixels={FROM}",
        *more,
    ]
    return "--pipelines", "inference", "--params", ",".join(params)


def test_a_killed_run_is_resumed_at_its_block(
    model: Path,
    project: Path,
    images: Path,
    pixels: np.ndarray,
    segmenter: Segmenter,
    caplog: pytest.LogCaptureFixture,
) -> None:
    arguments = _arguments(model, images, "mask_export.probabilities=true")
    out = images.parent / "out"
    command = [sys.executable, "-m", "tests.support.killed_run", str(project), "3", *arguments]
    killed = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    unfinished = out / "labels/.slide.ome.tif.unfinished"
    assert count_done(unfinished) == 3

    result = kedro_run(project, *arguments)
    assert result.exit_code == 0, result.output
    assert "slide.ome: all 5 blocks are done; 3 were finished before" in caplog.text
    assert "there is no mask for viewing of so large an image" in caplog.text
    assert "slide.ome: 5 of 5 blocks are done (100 %)" in caplog.text
    label = tifffile.imread(out / "labels/slide.ome.tif")
    np.testing.assert_array_equal(label, segmenter.predict(pixels))
    assert 0.05 < label.mean() < 0.95
    _check_overlay(np.asarray(Image.open(out / "overlays/slide.ome.png")), label, pixels)
    expected = segmenter.predict_probabilities(pixels)[:, :, 0]
    found = np.squeeze(tifffile.imread(out / "probabilities/slide.ome.tif"))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert {path.name for path in (out / "labels").iterdir()} == {"slide.ome.tif", "small.tif"}
    assert read_pixel_size(out / "labels/slide.ome.tif") == PixelSize(0.25, 0.25)
    with tifffile.TiffFile(out / "labels/slide.ome.tif") as tiff:
        assert (tiff.pages[0].tile, tiff.pages[0].compression.name) == ((512, 512), "ADOBE_DEFLATE")
    assert [path.name for path in (out / "masks").iterdir()] == ["small.png"]
    assert len(pd.read_csv(out / "failed.csv")) == 0
    _check_objects(out, label)


def _check_objects(out: Path, label: np.ndarray) -> None:
    """Hold all files with the objects of a large image against the objects of its label."""
    objects = find_objects(label)
    count = len(objects.classes)
    assert count > 20
    found = tifffile.imread(out / "instances/slide.ome.tif")
    np.testing.assert_array_equal(found, objects.numbers, strict=True)
    table = pd.read_parquet(out / "objects.parquet")
    assert set(table["image"]) == {"slide.ome", "small"}
    table = table[table["image"] == "slide.ome"]
    areas = np.bincount(objects.numbers.ravel())[1:]
    np.testing.assert_array_equal(table["area_px"], areas)
    np.testing.assert_allclose(table["area_um2"], areas / 16)
    coco = json.loads((out / "coco.json").read_text())
    assert [image["file_name"] for image in coco["images"]] == ["slide.ome.tif", "small.tif"]
    drawn = [one["area"] for one in coco["annotations"] if one["image_id"] == 1]
    np.testing.assert_array_equal(drawn, areas)
    features = json.loads((out / "polygons/slide.ome.geojson").read_text())["features"]
    assert [one["properties"]["name"] for one in features][-1] == f"cell {count}"
    with zipfile.ZipFile(out / "rois/slide.ome.zip") as archive:
        assert len(archive.namelist()) == count


def _check_overlay(overlay: np.ndarray, label: np.ndarray, pixels: np.ndarray) -> None:
    """Hold the overlay of a large image, which is small, against its label."""
    assert overlay.shape == (14, 1800, 3)  # a fifth: 2048 pixels at most
    label = label[2::5, 2::5]
    colour = CLASS_COLOURS[0]
    tinted = overlay - np.uint8(colour) // 2.0  # grey again, but for rounding
    assert np.ptp(overlay[label == 0].astype(int), axis=1).max() == 0
    assert np.ptp(tinted[label == 1], axis=1).max() <= 1
    means = pixels.reshape(14, 5, 1800, 5).mean(axis=(1, 3))
    grey = np.where(label == 1, 2 * tinted[:, :, 0], overlay[:, :, 0])
    assert np.corrcoef(grey.ravel(), means.ravel())[0, 1] > 0.99


def test_a_zarr_folder_makes_zarr_folders_and_blocks_without_tissue_are_skipped(
    model: Path,
    project: Path,
    images: Path,
    pixels: np.ndarray,
    segmenter: Segmenter,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for path in images.iterdir():
        path.unlink()
    pixels = pixels.copy()
    pixels[:, 4000:] = 65_000
    zarr.create_array(str(images / "slide.zarr"), data=pixels, chunks=(70, 512))
    tifffile.imwrite(images / "small.tif", pixels[:, :700])
    out = images.parent / "out"
    _write_zarr_folders(project / "conf/local/catalog.yml", out)
    more = ("probabilities=true", "views=2", "large.background.max_mean=50000")
    arguments = _arguments(model, images, *(f"mask_export.{one}" for one in more))
    result = kedro_run(project, *arguments)
    assert result.exit_code == 0, result.output
    assert "slide: all 5 blocks are done; 0 were finished before, 3 are background" in caplog.text
    expected = segmenter.predict_probabilities(pixels, views=2)[:, :, 0]
    probabilities = zarr.open_array(out / "probabilities/slide.zarr", mode="r")
    assert probabilities.chunks[-2:] == (512, 512)
    found = np.squeeze(probabilities[:])
    skipped = int((found == 0).all(axis=0).argmax())
    assert 3000 < skipped < 6000
    np.testing.assert_allclose(found[:, :skipped], expected[:, :skipped], atol=1e-5)
    assert not found[:, skipped:].any()
    label = zarr.open_array(out / "labels/slide.zarr", mode="r")[:]
    np.testing.assert_array_equal(label, segmenter.postprocessing.apply(found[:, :, np.newaxis]))
    assert label[:, :skipped].any()
    assert {path.name for path in (out / "labels").iterdir()} == {"slide.zarr", "small.tif"}
    numbers = zarr.open_array(out / "instances/slide.zarr", mode="r")[:]
    np.testing.assert_array_equal(numbers, find_objects(label).numbers)
    table = pd.read_parquet(out / "objects.parquet")
    assert (table["image"] == "slide").sum() == numbers.max() > 9


def _write_zarr_folders(catalog: Path, out: Path) -> None:
    """Let a catalog say that large results are Zarr folders."""
    results = {name: str(out / name) for name in ("labels", "probabilities")}
    entry = {"type": "unetflow.datasets.LargeResultsDataset", "filename_suffix": ".zarr", **results}
    catalog.write_text(f"{catalog.read_text()}\n{yaml.safe_dump({'large_results': entry})}")


def test_a_large_image_that_cannot_be_used_is_listed_and_the_others_are_written(
    model: Path, project: Path, images: Path
) -> None:
    damaged = bytearray((images / "slide.ome.tif").read_bytes())
    with tifffile.TiffFile(images / "slide.ome.tif") as tiff:
        place = tiff.pages[0].dataoffsets[20]
    damaged[place : place + 40] = bytes(40)
    (images / "slide.ome.tif").write_bytes(damaged)
    tifffile.imwrite(images / "wide.tif", np.zeros(SHAPE, np.uint8))
    result = kedro_run(project, *_arguments(model, images))
    assert result.exit_code == 1
    failed = pd.read_csv(images.parent / "out/failed.csv").set_index("image")["reason"]
    assert "cannot be decoded" in failed["slide.ome"]
    assert "trained on uint16 images" in failed["wide"]
    assert (images.parent / "out/labels/small.tif").exists()
