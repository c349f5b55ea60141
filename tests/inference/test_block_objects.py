"""Objects of images that are segmented block by block, from prediction to tables and files."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import tifffile

from tests.support.large_files import (
    CLEANING,
    GEOMETRIES,
    RULES,
    Function,
    as_segmenter,
    cheap_segmenter,
    in_memory,
    learned_segmenter,
    read_result,
    smooth_pixels,
    with_rule,
)
from unetflow.config.mask_export import LargeParameters, MaskExportParameters, ObjectParameters
from unetflow.core.errors import InputError
from unetflow.inference.blockwise.object_numbers import number_regions
from unetflow.inference.blockwise.result_files import ResultFolders
from unetflow.inference.blockwise.segment_blocks import segment_blocks
from unetflow.inference.postprocessing import Postprocessing
from unetflow.inference.segment import segment
from unetflow.instances.export_formats import write_coco, write_geojson, write_imagej_rois
from unetflow.io.image_file import ImageFile, open_large

SHAPE = (163, 190)
PIXELS = smooth_pixels(SHAPE)
CUTTING = cheap_segmenter(threshold=0.55, min_object_size=9)
LEARNED = learned_segmenter(min_object_size=12)


@pytest.fixture(autouse=True)
def small_regions(monkeypatch):
    """Let regions and halos be small against the image."""
    small = partial(number_regions, edge=50, halo=64)
    monkeypatch.setattr("unetflow.inference.blockwise.block_store.number_regions", small)


class CutOffError(Exception):
    """Interrupts a segmentation."""


def whole_objects(segmenter, pixels=PIXELS, objects=ObjectParameters()):  # noqa: B008 - frozen
    postprocessing = segmenter.postprocessing.with_objects(objects)
    return postprocessing.segment(segmenter.predict_outputs(pixels[:, :, np.newaxis])).objects


METHODS = {
    "components": (CUTTING, ObjectParameters(method="components", connectivity="edges")),
    "auto": (CUTTING, ObjectParameters()),
    "learned": (LEARNED, ObjectParameters()),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("suffix", [".tif", ".zarr"])
def test_objects_are_those_of_the_whole_image(tmp_path, method, suffix):
    segmenter, objects = METHODS[method]
    summary = segment_blocks(
        segmenter,
        in_memory(PIXELS),
        tmp_path / f"a{suffix}",
        instances=tmp_path / f"n{suffix}",
        wanted=MaskExportParameters(objects=objects),
        block=50,
    )
    whole = whole_objects(segmenter, objects=objects)
    found = read_result(tmp_path / f"n{suffix}")
    np.testing.assert_array_equal(found, whole.numbers, strict=True)
    np.testing.assert_array_equal(summary.objects.classes, whole.classes)
    assert summary.objects.shape == SHAPE
    assert len(whole.classes) > 20
    np.testing.assert_array_equal(read_result(tmp_path / f"a{suffix}"), segmenter.predict(PIXELS))
    assert {path.name for path in tmp_path.iterdir()} == {f"a{suffix}", f"n{suffix}"}


def test_objects_of_several_classes_are_numbered_together(tmp_path):
    def predict(batch):
        share = batch[:, :, :, :1] / np.float32(65535)
        return np.concatenate([share / 2, 1 - share, share / 1.9], axis=3).astype(np.float32)

    runtime, tuned = Function(predict, outputs=3), Postprocessing(threshold=None)
    segmenter = as_segmenter(runtime, GEOMETRIES["local"], 16, tuned, classes=3)
    summary = segment_blocks(
        segmenter, in_memory(PIXELS), tmp_path / "a.tif", instances=tmp_path / "n.tif", block=50
    )
    whole = whole_objects(segmenter)
    np.testing.assert_array_equal(read_result(tmp_path / "n.tif"), whole.numbers)
    np.testing.assert_array_equal(summary.objects.classes, whole.classes)
    assert set(whole.classes) == {1, 2}


def test_without_a_rule_there_are_no_objects(tmp_path):
    wanted = MaskExportParameters(objects=None)
    summary = segment_blocks(
        LEARNED,
        in_memory(PIXELS),
        tmp_path / "a.tif",
        instances=tmp_path / "n.tif",
        wanted=wanted,
        block=50,
    )
    assert summary.objects is None
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]


def test_blocks_of_background_hold_no_objects(tmp_path):
    pixels = np.full((96, 96), 50_000, np.uint16)
    pixels[32:64, 32:96] = smooth_pixels((32, 64)) // 2
    segmenter = learned_segmenter(threshold=0.2)
    summary = segment_blocks(
        segmenter,
        in_memory(pixels),
        tmp_path / "a.tif",
        instances=tmp_path / "n.tif",
        wanted=with_rule(RULES["mean"]),
        block=32,
    )
    assert summary.skipped > 4
    label, numbers = (read_result(tmp_path / name) for name in ("a.tif", "n.tif"))
    np.testing.assert_array_equal(numbers > 0, label > 0)
    assert numbers.max() == len(summary.objects.classes) > 0


@pytest.mark.parametrize(
    ("where", "name"), [("number_regions", "numbering"), ("write_result", "writing")]
)
def test_an_interrupted_numbering_is_repeated_without_a_new_prediction(
    tmp_path, monkeypatch, where, name
):
    def run(**options):
        return segment_blocks(
            LEARNED,
            in_memory(PIXELS),
            tmp_path / "a.tif",
            instances=tmp_path / "n.tif",
            block=50,
            **options,
        )

    def cut_off(*arguments, **options):
        raise CutOffError

    with monkeypatch.context() as patch:
        patch.setattr(f"unetflow.inference.blockwise.block_store.{where}", cut_off)
        with pytest.raises(CutOffError):
            run()
    summary = run()
    assert summary.found == summary.blocks
    np.testing.assert_array_equal(read_result(tmp_path / "n.tif"), whole_objects(LEARNED).numbers)


def test_blocks_without_what_objects_need_are_refused(tmp_path):
    def stop(done, blocks):
        raise CutOffError

    with pytest.raises(CutOffError):
        segment_blocks(LEARNED, in_memory(PIXELS), tmp_path / "a.tif", block=50, on_block=stop)
    with pytest.raises(InputError, match="differs in landscape"):
        segment_blocks(
            LEARNED, in_memory(PIXELS), tmp_path / "a.tif", instances=tmp_path / "n.tif", block=50
        )


def test_another_method_needs_no_new_prediction(tmp_path):
    def run(method, **options):
        return segment_blocks(
            CLEANING,
            in_memory(PIXELS),
            tmp_path / "a.tif",
            instances=tmp_path / "n.tif",
            wanted=MaskExportParameters(objects=ObjectParameters(method=method)),
            block=50,
            **options,
        )

    def stop(done, blocks):
        if done == 6:
            raise CutOffError

    with pytest.raises(CutOffError):
        run("watershed", on_block=stop)
    assert run("components").found == 6


def test_a_damaged_landscape_is_reported(tmp_path):
    def run(**options):
        return segment_blocks(
            LEARNED,
            in_memory(PIXELS),
            tmp_path / "a.tif",
            instances=tmp_path / "n.tif",
            block=50,
            **options,
        )

    def stop(done, blocks):
        if done == blocks:
            raise CutOffError

    with pytest.raises(CutOffError):
        run(on_block=stop)
    (tmp_path / ".a.tif.unfinished/landscape/c/0/0").unlink()
    with pytest.raises(InputError, match="its unfinished blocks are damaged"):
        run()


@pytest.mark.parametrize("segmenter", [LEARNED, CUTTING])
def test_a_large_image_gets_all_results_of_the_same_image_in_memory(
    tmp_path, segmenter, monkeypatch
):
    small = partial(segment_blocks, block=50)
    monkeypatch.setattr("unetflow.inference.segment.segment_blocks", small)
    file = tmp_path / "image.tif"
    metadata = {"axes": "YX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25}
    tifffile.imwrite(file, PIXELS, tile=(64, 64), compression="zlib", ome=True, metadata=metadata)
    found, tables = {}, {}
    for kind, pixels in (("whole", 10**9), ("large", 1)):
        wanted = MaskExportParameters(large=LargeParameters(min_pixels=pixels))
        folders = ResultFolders(tmp_path / "labels", tmp_path / "probabilities")
        ((_, result),) = segment(segmenter, {"image": ImageFile(file)}, wanted, folders)
        found[kind], tables[kind] = result.objects, result.table
    with open_large(folders.instances_of("image")) as written:
        numbers = written.read_numbers((0, SHAPE[0]), (0, SHAPE[1]))
        assert written.pixel_size.in_unit("µm").x == pytest.approx(0.25)
    np.testing.assert_array_equal(numbers, found["whole"].numbers)
    pd.testing.assert_frame_equal(tables["large"], tables["whole"])
    assert len(tables["large"]) > 20
    names = segmenter.settings.classes
    for write in (write_geojson, write_imagej_rois):
        for kind, objects in found.items():
            write(tmp_path / kind, objects, names)
        assert (tmp_path / "large").read_bytes() == (tmp_path / "whole").read_bytes()
    for kind, objects in found.items():
        write_coco(tmp_path / kind, [("a", objects)], names)
    assert (tmp_path / "large").read_bytes() == (tmp_path / "whole").read_bytes()
