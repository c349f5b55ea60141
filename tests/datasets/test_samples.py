import json
import logging

import numpy as np
import pytest
from kedro.io import DatasetError

from tests.support.images import random_pixels
from unetflow.annotations.class_map import ClassMap
from unetflow.annotations.layouts.find_pairs import find_pairs
from unetflow.config.classes import ClassSpec
from unetflow.config.ingestion import IngestionParameters
from unetflow.core.errors import DeclarationError, InputError
from unetflow.core.parallel import parallel_map
from unetflow.data import sample_builder
from unetflow.data.sample_builder import update_samples
from unetflow.data.samples import SampleFolder
from unetflow.datasets.folder_datasets import SamplesDataset
from unetflow.io.tiff_writer import write_tiff

MEANING = ClassMap((ClassSpec("background", (0, 1)), ClassSpec("nucleus", (2, 3))))


class Project:
    """Source files and the dataset of their samples."""

    def __init__(self, root):
        self.raw = root / "raw"
        self.samples = root / "samples"
        self.dataset = SamplesDataset(path=str(self.samples))

    def write(self, *names, values=4):
        for seed, name in enumerate(names):
            image = random_pixels((6, 8, 1), np.uint16, seed)
            write_tiff(self.raw / "images" / f"{name}.tif", image)
            write_tiff(self.raw / "masks" / f"{name}.tif", random_pixels((6, 8)) % values)

    def damage(self, name):
        (self.raw / "images" / f"{name}.tif").write_bytes(b"damaged")

    def remove(self, name):
        for folder in ("images", "masks"):
            (self.raw / folder / f"{name}.tif").unlink()

    def sources(self):
        ingestion = IngestionParameters(max_pixels=1000, workers=2)
        return find_pairs(self.raw, "folders", {}), MEANING, ingestion

    def save(self):
        """Do what the node does, and Kedro around it."""
        before = SamplesDataset(path=str(self.samples), optional=True).load()
        self.dataset.save(update_samples(before, *self.sources()))
        return self.dataset.load()


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path)
    project.write("2", "10", "b/1")
    return project


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.INFO, "unetflow")
    return caplog


def test_samples_come_back_as_memory_maps_in_their_order(project):
    samples = project.save()
    assert list(samples) == ["2", "10", "b/1"]
    assert samples.refused == []
    for seed, sample in enumerate(samples.values()):
        assert isinstance(sample.label, np.memmap)
        np.testing.assert_array_equal(sample.image, random_pixels((6, 8, 1), np.uint16, seed))
        np.testing.assert_array_equal(sample.label, random_pixels((6, 8)) % 4 // 2)


def test_descriptions_come_back_as_they_were_made(project):
    others = SampleFolder(project.samples.with_name("others"))
    taken = update_samples(others, *project.sources())
    assert project.save().descriptions == taken.descriptions


def test_refused_samples_are_kept_with_their_reason_behind_those_of_the_source(project):
    project.damage("10")
    project.write("c", values=9)
    (project.raw / "masks" / "2.tif").unlink()
    samples = project.save()
    assert list(samples) == ["b/1"]
    expected = [
        (InputError, "images/2.tif: there is no mask '2'"),
        (InputError, "images/10.tif: the file cannot be decoded"),
        (DeclarationError, "masks/c.tif: it holds values that no class declares"),
    ]
    for error, (kind, reason) in zip(samples.refused, expected, strict=True):
        assert type(error) is kind
        assert str(error).startswith(f"{project.raw}/{reason}")


def test_refused_samples_are_not_decoded_again(project, monkeypatch):
    project.damage("10")
    refused = [str(error) for error in project.save().refused]

    def fail(*_):
        raise AssertionError("nothing has changed")

    monkeypatch.setattr("unetflow.data.sample_builder.read_pair", fail)
    samples = project.save()
    assert [str(error) for error in samples.refused] == refused
    assert list(samples) == ["2", "b/1"]


def test_samples_that_are_gone_are_removed(project):
    project.save()
    project.remove("10")
    assert list(project.save()) == ["2", "b/1"]
    assert not (project.samples / "10").exists()


def test_log_tells_how_many_pairs_were_decoded(project, log):
    project.save()
    project.save()
    project.write("2", "new")
    project.remove("10")
    project.save()
    project.remove("b/1")
    project.save()
    assert log.messages == [
        "Decoded 3 new or changed of 3 pairs; 0 are unchanged",
        "Nothing has changed: none of 3 pairs was decoded",
        "Decoded 1 new or changed of 3 pairs; 2 are unchanged; removed 1 earlier samples",
        "Nothing has changed: none of 2 pairs was decoded; removed 1 earlier samples",
    ]


def test_index_is_removed_first_and_written_last(project, monkeypatch):
    project.save()
    index = project.samples / "index.json"
    assert index.is_file()

    def look(*arguments):
        assert not index.exists()
        return parallel_map(*arguments)

    monkeypatch.setattr(sample_builder, "parallel_map", look)
    project.save()
    assert index.is_file()


def test_interrupted_save_leaves_no_mixture_of_old_and_new_samples(project, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    project.save()
    project.write("2", "10", values=3)
    with monkeypatch.context() as patch:
        patch.setattr("unetflow.data.sample_builder.read_pair", interrupt)
        with pytest.raises(KeyboardInterrupt):
            project.save()
    assert not project.dataset.exists()
    with pytest.raises(DatasetError, match="the file is not there"):
        project.dataset.load()
    assert list(project.save()) == ["2", "10", "b/1"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b'{"samples": [',
        b'{"ids": ["2"], "refused": [{"where": "a", "problem": "b", "fix": "c"}]}',
        b'{"samples": [], "refused": [{"id": "2", "stamp": "", "error": {"where": "a"}}]}',
        b"[]",
    ],
)
def test_index_that_is_damaged_or_of_another_version_is_written_anew(project, content):
    project.save()
    (project.samples / "index.json").write_bytes(content)
    assert list(project.save()) == ["2", "10", "b/1"]


def test_sample_with_the_name_of_the_index_is_refused(project):
    project.write("index.json")
    assert [error.problem for error in project.save().refused] == [
        "samples have a file of that name"
    ]


def test_index_is_plain_json(project):
    project.damage("10")
    project.save()
    index = json.loads((project.samples / "index.json").read_text())
    assert [sample["id"] for sample in index["samples"]] == ["2", "b/1"]
    assert [refusal["id"] for refusal in index["refused"]] == ["10"]
