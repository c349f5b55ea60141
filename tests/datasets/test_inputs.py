import json
from contextlib import contextmanager
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import zarr
from kedro.io import DatasetError
from PIL import Image

from unetflow.core.errors import InputError
from unetflow.datasets.file_datasets import FileDataset
from unetflow.datasets.registered_models import ModelSourceDataset
from unetflow.datasets.sources import DemoPairsDataset, ImageFolderDataset, SourceDataset
from unetflow.datasets.training_log import TrainingLogDataset


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


def test_a_zarr_folder_among_images_is_one_image(tmp_path):
    pixels = np.arange(100, dtype=np.uint8).reshape(10, 10)
    for name in ("deep/a.zarr", "b.zarr"):
        zarr.create_array(str(tmp_path / name), data=pixels, chunks=(4, 4))
    Image.fromarray(pixels).save(tmp_path / "deep/a.zarr/preview.png")
    Image.fromarray(pixels).save(tmp_path / "b.png")
    images = ImageFolderDataset(path=str(tmp_path)).load()
    assert list(images) == ["b.png", "b.zarr", "deep/a"]
    for name in ("b.zarr", "deep/a"):
        with images[name].open(1) as opened:
            np.testing.assert_array_equal(opened.read((0, 10), (0, 10))[:, :, 0], pixels)
    assert list(ImageFolderDataset(path=str(tmp_path / "b.zarr")).load()) == ["b"]


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
        with pytest.raises(DatasetError, match="only read"):
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
        dataset = TrainingLogDataset(bad_batch=str(tmp_path / "bad.json"), folds=True)
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
        assert ModelSourceDataset(source=None, use="start").load() is None

    def test_comes_from_a_file(self, tmp_path):
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        path = str(tmp_path / "m.keras")
        FileDataset(filepath=path, format="keras").save(model)
        where, loaded = ModelSourceDataset(source=path, use="start").load()
        assert where == path
        np.testing.assert_array_equal(loaded.get_weights()[0], model.get_weights()[0])

    def test_that_is_not_there_is_named(self, tmp_path):
        with pytest.raises(DatasetError, match="start_from: there is no file"):
            ModelSourceDataset(source=str(tmp_path / "m.keras"), use="start").load()

    def test_is_not_written(self):
        with pytest.raises(DatasetError, match="only read"):
            ModelSourceDataset(source=None, use="start").save({})
