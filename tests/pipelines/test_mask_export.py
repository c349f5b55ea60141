"""How images are segmented and what is made of them, with segmenters that are no networks."""

import json
import logging
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import tifffile
import yaml
from skimage.segmentation import find_boundaries

from tests.conftest import ROOT
from tests.support.segmenter_settings import make_settings
from unetflow.config.base import read_parameters
from unetflow.config.mask_export import MaskExportParameters
from unetflow.core.errors import InputError
from unetflow.core.geometry import Geometry
from unetflow.datasets.file_datasets import FileDataset, PartitionsDataset
from unetflow.hooks.announcements import AnnouncementHooks
from unetflow.inference.blockwise.result_files import ResultFolders
from unetflow.inference.postprocessing import NetworkOutputs, Postprocessing
from unetflow.inference.runtimes.runtime import Runtime
from unetflow.inference.segmenter import Segmenter
from unetflow.io.image_file import ImageFile
from unetflow.io.pixel_size import PixelSize
from unetflow.pipelines import mask_export as nodes
from unetflow.visualization.object_numbers import draw_object_numbers
from unetflow.visualization.overlays import paint_classes

BASE = yaml.safe_load((ROOT / "conf/base/parameters_mask_export.yml").read_text())["mask_export"]
SIZE = PixelSize(0.5, 0.25)
ORDER = (
    "masks",
    "labels",
    "probabilities",
    "overlays",
    "instances",
    "polygons",
    "rois",
    "object_tables",
    "export_log",
)


class Brightness(Runtime):
    """Takes a pixel's brightness for its probability, and a window's left border into account."""

    name, outputs, identity = "brightness", 1, {"kind": "brightness"}

    def __call__(self, windows):
        found = windows[..., :1].astype(np.float32) / np.float32(255)
        found[:, :, 0] = 0
        return found


@pytest.fixture
def segmenter():
    geometry = Geometry(stride=4, remainder=0, shrink=0, margin=4)
    settings = make_settings(["background", "cell"], 0.5, 1, "uint8", geometry, 32)
    segmenter = Segmenter(Brightness(), settings)
    segmenter.on_runtime = lambda runtime, precision: segmenter
    return segmenter


@pytest.fixture
def images(tmp_path):
    """Return a small image, one of several windows whose pixels have a size, and a broken one."""
    random = np.random.default_rng(0)
    (tmp_path / "images/deep").mkdir(parents=True)
    tifffile.imwrite(tmp_path / "images/a.tif", random.integers(0, 256, (16, 20), np.uint8))
    tifffile.imwrite(
        tmp_path / "images/deep/b.tif",
        random.integers(0, 256, (70, 90), np.uint8),
        imagej=True,
        resolution=(1 / SIZE.x, 1 / SIZE.y),
        metadata={"unit": "um"},
    )
    (tmp_path / "images/c.tif").write_bytes(b"no picture")
    return {name: ImageFile(tmp_path / f"images/{name}.tif") for name in ("a", "deep/b", "c")}


def export(segmenter, images, tmp_path, **parameters):
    """Return the outputs of each image by their names."""
    folders = ResultFolders(tmp_path / "labels", tmp_path / "probabilities")
    mask_export = read_parameters(MaskExportParameters, {**BASE, **parameters}, "mask_export")
    return [
        dict(zip(ORDER, outputs, strict=True))
        for outputs in nodes.export_masks(segmenter, images, folders, mask_export)
    ]


def on_runtime(runtime, precision):
    """Return a segmenter that finds a mask only where it is asked for in full."""
    found = int((runtime, precision) == ("openvino", "bfloat16"))
    return SimpleNamespace(
        settings=SimpleNamespace(classes=["background", "nucleus"], tile=32, objects_numbered=None),
        predict_outputs=lambda image, **ways: NetworkOutputs(
            np.full((*image.shape[:2], 1), found), None
        ),
        postprocessing=Postprocessing(threshold=0.5),
        describe_drift=lambda image: "",
    )


@pytest.mark.parametrize(
    ("parameters", "found"), [({}, 0), ({"runtime": "openvino", "precision": "bfloat16"}, 255)]
)
def test_the_runtime_of_the_parameters_segments(images, tmp_path, parameters, found):
    segmenter = SimpleNamespace(on_runtime=on_runtime)
    done = export(segmenter, {"a": images["a"]}, tmp_path, objects=None, **parameters)
    np.testing.assert_array_equal(done[0]["masks"]["a"], np.full((16, 20), found, np.uint8))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("runtime", "tensorrt"),
        ("precision", "int4"),
        ("motor", "auto"),
        ("views", 9),
        ("blended_overlap", 0.9),
        ("large", {"min_pixels": 0, "background": None}),
        ("large", {"min_pixels": 9, "background": {}}),
    ],
)
def test_parameters_that_make_no_sense_are_refused(segmenter, images, tmp_path, name, value):
    with pytest.raises(InputError, match=f"mask_export.{name}"):
        export(segmenter, images, tmp_path, **{name: value})


def test_labels_instances_and_probabilities_keep_the_size_of_a_pixel(segmenter, images, tmp_path):
    plain, sized, broken = export(segmenter, images, tmp_path, probabilities=True)
    for output in ("labels", "instances", "probabilities"):
        assert plain[output]["a"][1] is None
        assert sized[output]["deep/b"][1] == SIZE
        assert broken[output] == {}
    table = sized["object_tables"]["deep/b"]
    np.testing.assert_allclose(table["area_um2"], table["area_px"] * 0.125)
    log = broken["export_log"]
    assert [(i.name, i.file_name, bool(i.reason)) for i in log.images] == [
        ("a", "a.tif", False),
        ("deep/b", "deep/b.tif", False),
        ("c", "c.tif", True),
    ]


def test_probabilities_are_those_that_decide_and_only_there_on_request(segmenter, images, tmp_path):
    assert not any(one["probabilities"] for one in export(segmenter, images, tmp_path))
    _, one, _ = export(segmenter, images, tmp_path, probabilities=True)
    probabilities, label = one["probabilities"]["deep/b"][0], one["labels"]["deep/b"][0]
    expected = segmenter.predict_probabilities(images["deep/b"].read())
    np.testing.assert_array_equal(probabilities, expected)
    np.testing.assert_array_equal(label, probabilities[:, :, 0] >= 0.5)


def test_views_and_blending_change_what_is_found(segmenter, images, tmp_path):
    pixels = images["deep/b"].read()
    for parameters, ways in (
        ({"views": 4}, {"views": 4}),
        ({"blended_overlap": 0.25}, {"overlap": 8}),
        ({"views": 2, "blended_overlap": 0.0}, {"views": 2, "overlap": 0}),
    ):
        _, one, _ = export(segmenter, images, tmp_path, probabilities=True, **parameters)
        expected = segmenter.predict_probabilities(pixels, **ways)
        np.testing.assert_array_equal(one["probabilities"]["deep/b"][0], expected)
        assert np.abs(expected - segmenter.predict_probabilities(pixels)).max() > 0.001


def test_the_error_at_seams_is_measured_where_there_are_some(segmenter, images, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    export(segmenter, images, tmp_path, blended_overlap=0.25)
    (message,) = [r.getMessage() for r in caplog.records if "are blended" in r.getMessage()]
    assert "overlap by 8 pixels" in message
    assert "measured on 64 x 64 pixels of deep/b" in message
    middle = images["deep/b"].read()[3:67, 13:77]
    exact = segmenter.predict_probabilities(middle)
    error = np.abs(segmenter.predict_probabilities(middle, overlap=8) - exact)
    assert f"by {error.max():.2g} at most and by {error.mean():.2g} in the mean" in message
    caplog.clear()
    export(segmenter, {name: images[name] for name in "ac"}, tmp_path, blended_overlap=0.25)
    assert "None of the first images is larger than one window" in caplog.text
    caplog.clear()
    export(segmenter, images, tmp_path)
    assert "blended" not in caplog.text


def tables_at(path):
    table = {"type": "unetflow.datasets.AtomicDataset", "dataset": "pandas.ParquetDataset"}
    return PartitionsDataset(path=str(path), filename_suffix=".parquet", dataset=table)


@pytest.mark.parametrize("objects", [BASE["objects"], None])
def test_the_objects_of_this_run_are_gathered_and_no_older_ones(
    segmenter, images, tmp_path, objects
):
    instances, tables = {}, tables_at(tmp_path / "tables")
    tables.save({"a": pd.DataFrame({"image": ["a"], "class": ["cell"]})})  # of an older run
    for outputs in export(segmenter, images, tmp_path, objects=objects):
        tables.save(outputs["object_tables"])
        for name, sized in outputs["instances"].items():
            path = str(tmp_path / f"instances/{name}.tif")
            dataset = FileDataset(filepath=path, format="labels")
            dataset.save(sized)
            instances[name] = dataset.load
    log = outputs["export_log"]
    whole, _, for_coco = nodes.gather_objects(instances, tables.load(), log)
    FileDataset(filepath=str(tmp_path / "coco.json"), format="coco").save(for_coco)
    coco = json.loads((tmp_path / "coco.json").read_text())
    assert coco["categories"] == [{"id": 1, "name": "cell"}]
    assert len(coco["annotations"]) == len(whole)
    if objects is None:
        assert coco["images"] == []
        return
    assert [image["file_name"] for image in coco["images"]] == ["a.tif", "deep/b.tif"]
    assert [a["area"] for a in coco["annotations"]] == whole["area_px"].tolist()
    assert set(whole["image"]) == {"a", "deep/b"}


@pytest.mark.parametrize(
    ("numbered", "objects", "warned"),
    [
        (False, BASE["objects"], "touching objects are found and counted as one"),
        (False, {**BASE["objects"], "method": "watershed"}, "compared with any true object"),
        (False, None, ""),
        (True, BASE["objects"], ""),
        (None, BASE["objects"], ""),  # a file of an earlier version
    ],
)
def test_an_export_ends_with_a_warning_where_counts_cannot_be_trusted(
    segmenter, images, tmp_path, caplog, numbered, objects, warned
):
    segmenter.settings = segmenter.settings.model_copy(update={"objects_numbered": numbered})
    log = export(segmenter, {"a": images["a"]}, tmp_path, objects=objects)[-1]["export_log"]
    nodes.list_failures(log)
    messages = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(messages) == bool(warned)
    assert all(warned in message for message in messages)


def test_each_image_of_the_run_has_a_row_with_what_was_found(segmenter, images, tmp_path):
    outputs = export(segmenter, images, tmp_path)
    table, sheet, sentence = nodes.list_images(outputs[-1]["export_log"])
    pd.testing.assert_frame_equal(table, sheet)
    assert table["image"].tolist() == ["a", "deep/b", "c"]
    for row, name, area in ((0, "a", None), (1, "deep/b", SIZE.x * SIZE.y)):
        label, own = outputs[row]["labels"][name][0], outputs[row]["object_tables"][name]
        found = table.iloc[row]
        assert found["count_cell"] == len(own) > 0
        assert found["area_cell_px"] == label.sum()
        assert found["fraction_cell"] == label.mean()
        assert np.isnan(found["mean_confidence_cell"])  # it was not fitted
        if area is None:
            assert pd.isna(found["area_cell_um2"])
        else:
            assert found["area_cell_um2"] == pytest.approx(area * label.sum())
        assert (found["unlike_training"], found["reason"]) == ("", "")
    failed = table.iloc[2]
    assert failed.drop(["image", "unlike_training", "reason"]).isna().all()
    assert "c.tif" in failed["reason"]
    counts = table["count_cell"][:2]
    told = (
        f"2 images, {counts.sum():,} objects of class 'cell', {counts.min():,} to {counts.max():,}"
    )
    assert sentence == f"{told} an image; 1 more image failed"


def test_an_image_that_goes_block_by_block_has_the_row_of_a_whole_one(segmenter, images, tmp_path):
    tables = []
    for pixels in (70 * 90 + 1, 70 * 90):
        large = {"min_pixels": pixels, "background": None}
        log = export(segmenter, images, tmp_path, large=large)[-1]["export_log"]
        tables.append(nodes.list_images(log)[0])
    whole, by_blocks = tables
    pd.testing.assert_frame_equal(whole, by_blocks)
    label = tifffile.imread(tmp_path / "labels/deep/b.tif")
    assert by_blocks["fraction_cell"][1] == label.mean()


def test_without_objects_their_counts_are_missing_and_fractions_are_not(
    segmenter, images, tmp_path
):
    outputs = export(segmenter, images, tmp_path, objects=None)
    table, _, sentence = nodes.list_images(outputs[-1]["export_log"])
    assert table["count_cell"].isna().all()
    assert table["fraction_cell"].notna().tolist() == [True, True, False]
    assert sentence == "2 images, whose objects were not separated; 1 more image failed"


def test_numbers_are_written_into_overlays_on_request(segmenter, images, tmp_path):
    plain, *_ = export(segmenter, images, tmp_path)
    numbered, *_ = export(segmenter, images, tmp_path, object_numbers=True)
    numbers = plain["instances"]["a"][0]
    expected = draw_object_numbers(plain["overlays"]["a"], numbers)
    np.testing.assert_array_equal(numbered["overlays"]["a"], expected)
    assert (expected != plain["overlays"]["a"]).any()
    with pytest.raises(InputError, match="object_numbers are of objects, and objects is null"):
        export(segmenter, images, tmp_path, object_numbers=True, objects=None)


def test_objects_of_more_classes_have_outlines_in_the_colours_of_their_classes(images, tmp_path):
    class ThreeClasses(Runtime):
        name, outputs, identity = "three", 3, {"kind": "three"}

        def __call__(self, windows):
            return np.eye(3, dtype=np.float32)[windows[..., 0] // 86]

    settings = make_settings(
        ["background", "cell", "edge"], None, 1, "uint8", Geometry(1, 0, 0, 0), 32
    )
    three = Segmenter(ThreeClasses(), settings)
    three.on_runtime = lambda runtime, precision: three
    one, *_ = export(three, {"a": images["a"]}, tmp_path)
    label, numbers = one["labels"]["a"][0], one["instances"]["a"][0]
    outline = find_boundaries(numbers, mode="inner")
    colours = paint_classes(label)
    np.testing.assert_array_equal(one["overlays"]["a"][outline], colours[outline])
    assert set(label[outline]) == {1, 2}


def test_the_counts_are_announced_at_the_end_of_a_run(capsys):
    hooks = AnnouncementHooks()
    text = yaml.safe_load((ROOT / "conf/base/catalog_mask_export.yml").read_text())
    hooks.after_catalog_created(text)
    hooks.before_pipeline_run()
    hooks.after_dataset_saved("export_counts", "2 images, 3 objects of class 'cell'")
    hooks.after_dataset_saved("masks", {})
    hooks.after_pipeline_run()
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "Counts: 2 images, 3 objects of class 'cell'"
    assert lines[-2].startswith("Masks: ")
