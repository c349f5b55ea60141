import json

import keras
import numpy as np
import pandas as pd
import pytest
from kedro.io import DatasetError
from numpy.testing import assert_array_equal

from tests.support.networks import make_segmenter
from unetflow.datasets.file_datasets import FORMATS, FileDataset, PartitionsDataset
from unetflow.datasets.folder_datasets import LargeResultsDataset
from unetflow.instances.objects import find_objects
from unetflow.io.pixel_size import PixelSize

SIZE = PixelSize(0.25, 0.5)
LABEL = np.array([[1, 0, 2], [1, 0, 2], [0, 0, 0], [0, 1, 0]], np.uint8)
FOUND = find_objects(LABEL), ["background", "cell", "nucleus"]


@pytest.mark.parametrize("ending", ["png", "tif"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_image_comes_back_exactly(tmp_path, ending, dtype):
    pixels = np.arange(35, dtype=dtype).reshape(5, 7) * np.iinfo(dtype).max // 34
    dataset = FileDataset(filepath=str(tmp_path / f"new/a.{ending}"), format="image")
    assert not dataset.exists()
    dataset.save(pixels)
    assert dataset.exists()
    np.testing.assert_array_equal(dataset.load(), pixels, strict=True)


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_colour_image_comes_back_exactly(tmp_path, ending):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    dataset = FileDataset(filepath=str(tmp_path / f"a.{ending}"), format="image")
    dataset.save(pixels)
    np.testing.assert_array_equal(dataset.load(), pixels)


@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif"])
@pytest.mark.parametrize("size", [None, SIZE])
def test_labels_and_probabilities_come_back_with_the_size_of_a_pixel(tmp_path, name, size):
    for kind, pixels in (
        ("labels", np.arange(300, dtype=np.uint16).reshape(15, 20)),
        ("probabilities", np.linspace(0, 1, 60, dtype=np.float32).reshape(4, 5, 3)),
    ):
        dataset = FileDataset(filepath=str(tmp_path / kind / name), format=kind)
        assert not dataset.exists()
        dataset.save((pixels, size))
        assert dataset.exists()
        found, found_size = dataset.load()
        np.testing.assert_array_equal(found, pixels, strict=True)
        assert found_size == size


def test_keras_model_comes_back(tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    dataset = FileDataset(filepath=str(tmp_path / "m.keras"), format="keras")
    dataset.save(model)
    values = np.ones((1, 3), np.float32)
    np.testing.assert_array_equal(dataset.load()(values), model(values))


def test_nodes_share_a_segmenter_until_its_file_changes_or_no_node_needs_it(tmp_path):
    dataset = FileDataset(filepath=str(tmp_path / "s.keras"), format="segmenter")
    image = np.random.default_rng(0).integers(0, 256, (20, 24), np.uint8)
    first, second = (make_segmenter(seed=seed, depth=1) for seed in (1, 2))
    dataset.save(first)
    read = dataset.load()
    assert read is not first
    assert dataset.load() is read
    dataset.save(second)
    changed = dataset.load()
    for found, saved in ((read, first), (changed, second)):
        assert_array_equal(found.predict(image), saved.predict(image), strict=True)
    dataset.release()
    assert dataset.load() is not changed
    (tmp_path / "s.keras").unlink()
    with pytest.raises(DatasetError, match="the file is not there"):
        dataset.load()


def test_objects_are_written_for_qupath_and_imagej(tmp_path):
    for suffix, kind in (("geojson", "geojson"), ("zip", "imagej")):
        FileDataset(filepath=str(tmp_path / f"deep/a.{suffix}"), format=kind).save(FOUND)
    features = json.loads((tmp_path / "deep/a.geojson").read_text())["features"]
    names = [feature["properties"]["classification"]["name"] for feature in features]
    assert names == ["cell", "nucleus", "cell"]
    assert (tmp_path / "deep/a.zip").read_bytes()[:2] == b"PK"


@pytest.mark.parametrize("kind", ["geojson", "imagej", "coco", "bioimageio"])
def test_files_for_other_programs_are_not_read(tmp_path, kind):
    dataset = FileDataset(filepath=str(tmp_path / "a"), format=kind)
    assert not dataset.exists()
    with pytest.raises(DatasetError, match="only written"):
        dataset.load()


def test_unknown_format_is_refused_with_the_list_of_all(tmp_path):
    with pytest.raises((ValueError, DatasetError), match="there is no format 'shp'") as caught:
        FileDataset(filepath=str(tmp_path / "a.shp"), format="shp")
    assert all(name in str(caught.value) for name in FORMATS)


def test_folders_of_large_results_are_only_read(tmp_path):
    large = LargeResultsDataset(labels=str(tmp_path / "a"), probabilities=str(tmp_path / "b"))
    assert large.exists()
    assert large.load().label_of("x") == tmp_path / "a/x.tif"
    with pytest.raises(DatasetError, match="only read"):
        large.save({})


class TestPartitions:
    def test_may_be_none(self, tmp_path):
        dataset = PartitionsDataset(
            path=str(tmp_path / "labels"),
            dataset={"type": "unetflow.datasets.FileDataset", "format": "labels"},
            filename_suffix=".tif",
        )
        assert dataset.load() == {}
        dataset.save({"deep/a": (np.ones((2, 3), np.uint8), SIZE)})
        ((name, read),) = dataset.load().items()
        assert (name, read()[1]) == ("deep/a", SIZE)

    @pytest.mark.parametrize("replace", [False, True])
    def test_of_before_go_where_they_are_replaced(self, tmp_path, replace):
        dataset = PartitionsDataset(
            path=str(tmp_path / "tables"),
            dataset={"type": "unetflow.datasets.AtomicDataset", "dataset": "pandas.ParquetDataset"},
            filename_suffix=".parquet",
            replace=replace,
        )
        tables = {
            "a": pd.DataFrame({"image": ["a", "a"], "area": [3, 4]}),
            "b/1.5": pd.DataFrame({"image": ["b"], "area": [5]}),
        }
        for name, table in tables.items():
            dataset.save({name: table})
        found = dataset.load()
        assert set(found) == ({"b/1.5"} if replace else {"a", "b/1.5"})
        for name, read in found.items():
            pd.testing.assert_frame_equal(read(), tables[name])
