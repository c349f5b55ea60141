import json
from contextlib import contextmanager
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from kedro.io import DatasetError
from PIL import Image

from unetflow.core.errors import InputError
from unetflow.datasets.image_files import ImageFileDataset, ImageFolderDataset
from unetflow.datasets.models import KerasModelDataset, StartModelDataset
from unetflow.datasets.sources import DemoPairsDataset, SourceDataset
from unetflow.datasets.training_log import FoldLogDataset, TrainingLogDataset


@pytest.mark.parametrize("ending", ["png", "tif"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_image_comes_back_exactly(tmp_path, ending, dtype):
    pixels = np.arange(35, dtype=dtype).reshape(5, 7) * np.iinfo(dtype).max // 34
    dataset = ImageFileDataset(filepath=str(tmp_path / f"new/a.{ending}"))
    assert not dataset.exists()
    dataset.save(pixels)
    assert dataset.exists()
    loaded = dataset.load()
    assert loaded.dtype == dtype
    np.testing.assert_array_equal(loaded, pixels)


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_colour_image_comes_back_exactly(tmp_path, ending):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    dataset = ImageFileDataset(filepath=str(tmp_path / f"a.{ending}"))
    dataset.save(pixels)
    np.testing.assert_array_equal(dataset.load(), pixels)


def test_folder_reads_each_image_when_asked_and_keeps_names_apart(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("2.png", "10.png", "sub/2.png", "same.png", "same.tif"):
        Image.new("L", (4, 3), 7).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not an image")
    images = ImageFolderDataset(path=str(tmp_path)).load()
    assert list(images) == ["2", "10", "same.png", "same.tif", "sub/2"]
    np.testing.assert_array_equal(images["sub/2"].read(), np.full((3, 4, 1), 7, np.uint8))


def test_folder_without_any_image_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("not an image")
    with pytest.raises(DatasetError, match=r"it holds no image \(\.png, "):
        ImageFolderDataset(path=str(tmp_path)).load()


def test_folder_refuses_an_image_above_the_limit(tmp_path):
    Image.new("L", (40, 30)).save(tmp_path / "a.png")
    images = ImageFolderDataset(path=str(tmp_path), max_pixels=1000).load()
    with pytest.raises(InputError, match="40 x 30 pixels are more than the allowed 1000"):
        images["a"].read()


def test_demo_is_made_once(tmp_path):
    dataset = DemoPairsDataset(path=str(tmp_path / "demo"), count=3, size=48)
    assert not dataset.exists()
    pairs = dataset.load().pairs
    times = [pair.image.file.stat().st_mtime_ns for pair in pairs]
    assert [pair.id for pair in dataset.load().pairs] == ["nuclei_000", "nuclei_001", "nuclei_002"]
    assert [pair.image.file.stat().st_mtime_ns for pair in pairs] == times


def test_users_folders_are_never_written(tmp_path):
    for kind in (SourceDataset, ImageFolderDataset):
        dataset = kind(path=str(tmp_path))
        with pytest.raises(DatasetError, match="is only read"):
            dataset.save({})


def test_keras_model_comes_back(tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    dataset = KerasModelDataset(filepath=str(tmp_path / "m.keras"))
    dataset.save(model)
    values = np.ones((1, 3), np.float32)
    np.testing.assert_array_equal(dataset.load()(values), model(values))


class TestTrainingLog:
    def test_of_an_epoch_goes_to_the_recorder_if_there_is_one(self, tmp_path):
        dataset = TrainingLogDataset(bad_batch=str(tmp_path / "bad.json"))
        listeners = dataset.load()
        told = []
        recorder = SimpleNamespace(
            log_epoch=lambda *values: told.append(values),
            log_prediction=lambda *values: told.append(values),
        )
        for _ in range(2):  # at first nobody listens
            listeners.on_epoch(0, {"loss": np.float32(1)})
            listeners.on_prediction(4, "a", "sample", "label", 2)
            dataset.connect(recorder)
        assert told == [(1, {"loss": 1.0}), (5, "a", "sample", "label", 2)]
        assert type(told[0][1]["loss"]) is float
        with pytest.raises(DatasetError, match="only an input"):
            dataset.save({})

    def test_of_a_bad_batch_is_a_file_until_the_next_training(self, tmp_path):
        path = tmp_path / "deep" / "bad.json"
        dataset = TrainingLogDataset(bad_batch=str(path))
        batch = {"epoch": 1, "samples": ["a"], "loss": "nan"}
        dataset.load().on_bad_batch(batch)
        assert json.loads(path.read_text()) == batch
        dataset.load()
        assert not path.exists()


class TestFoldLog:
    def test_keeps_what_a_training_tells_as_a_part_of_the_record(self, tmp_path):
        dataset = FoldLogDataset(bad_batch=str(tmp_path / "bad.json"))
        told = []

        @contextmanager
        def part(name):
            told.append(name)
            yield
            told.append("end")

        recorder = SimpleNamespace(
            part=part, log_epoch=lambda *values: told.append(values), log_metrics=told.append
        )
        for _ in range(2):  # at first nobody listens
            with dataset.load()("fold_0") as (listeners, tell_scores):
                listeners.on_epoch(0, {"loss": 1.0})
                tell_scores({"scores": {}})
            dataset.connect(recorder)
        assert told == ["fold_0", (1, {"loss": 1.0}), {"scores": {}}, "end"]


class TestStartModel:
    def test_is_none_without_a_source(self):
        assert StartModelDataset(source=None).load() is None

    def test_comes_from_a_file(self, tmp_path):
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        path = str(tmp_path / "m.keras")
        KerasModelDataset(filepath=path).save(model)
        where, loaded = StartModelDataset(source=path).load()
        assert where == path
        np.testing.assert_array_equal(loaded.get_weights()[0], model.get_weights()[0])

    def test_that_is_not_there_is_named(self, tmp_path):
        with pytest.raises(DatasetError, match="start_from: there is no file"):
            StartModelDataset(source=str(tmp_path / "m.keras")).load()

    def test_is_not_written(self):
        with pytest.raises(DatasetError, match="only read"):
            StartModelDataset(source=None).save({})
