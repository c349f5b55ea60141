"""Samples are built again if, and only if, their sources have changed."""

import json
import logging
import os
import shutil
import threading
import time
import weakref
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.images import CLASSES, random_pixels
from unetflow.annotations.class_map import ClassMap
from unetflow.annotations.layouts.find_pairs import find_pairs
from unetflow.annotations.layouts.object_masks import find_object_masks
from unetflow.annotations.records import Pair, Pairing
from unetflow.config.classes import ClassSpec
from unetflow.config.ingestion import IngestionParameters
from unetflow.core.errors import InputError
from unetflow.data import sample_builder
from unetflow.data.sample_builder import update_samples
from unetflow.data.samples import SampleFolder
from unetflow.io.file_listing import list_files
from unetflow.io.tiff_writer import write_tiff

MEANING = ClassMap((ClassSpec("background", (0,)), ClassSpec("nucleus", None)))
OF_A_SAMPLE = ["image.tif", "label.tif", "overview.npz", "sample.json"]


def write_pair(root, name, seed=0, folders=("images", "masks")):
    for folder in folders:
        pixels = random_pixels((6, 7), seed=seed) % 9
        if folder == "regions":
            pixels = (pixels > 3) * np.uint8(255)
        write_tiff(root / folder / f"{name}.tif", pixels)


def touch(path):
    """Change the time of a file but not its content."""
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 10**9))


@dataclass(frozen=True)
class Plan:
    """What samples are built from."""

    pairs: list[Pair]
    class_map: ClassMap
    max_pixels: int
    workers: int

    def build(self, before):
        ingestion = IngestionParameters(max_pixels=self.max_pixels, workers=self.workers)
        return update_samples(before, Pairing(self.pairs, []), self.class_map, ingestion)


class Source:
    """A folder of images and masks, the samples built from it, and the ids decoded for that."""

    def __init__(self, root, monkeypatch, log):
        self.root = root / "raw"
        self.samples = root / "samples"
        self.decoded = []
        self.rejected = []
        self.log = log
        self.read_pair = sample_builder.read_pair
        monkeypatch.setattr(sample_builder, "read_pair", self._read_pair)

    def _read_pair(self, pair, *others):
        self.decoded.append(pair.id)
        return self.read_pair(pair, *others)

    def plan(self, class_map=MEANING, workers=1, max_pixels=1000, root=None, **options):
        pairs = find_pairs(root or self.root, "folders", options).pairs
        return Plan(pairs, class_map, max_pixels, workers)

    def build(self, plan=None, **options):
        """Build the samples; return the decoded ids in alphabetical order."""
        self.decoded.clear()
        self.log.clear()
        before = SampleFolder(self.samples, rejected=self.rejected)
        self.built = (plan or self.plan(**options)).build(before)
        self.rejected = self.built.rejected
        return sorted(self.decoded)

    def on_disk(self):
        """Return the content and the time of each file of the samples."""
        return {
            path.relative_to(self.samples).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
            for path in self.samples.rglob("*")
            if path.is_file()
        }

    def described(self, name):
        return json.loads((self.samples / name / "sample.json").read_text())


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.INFO, "unetflow")
    return caplog


@pytest.fixture
def source(tmp_path, monkeypatch, log):
    source = Source(tmp_path, monkeypatch, log)
    for seed, name in enumerate(["1", "2", "sub/10"]):
        write_pair(source.root, name, seed)
    return source


def test_every_pair_becomes_a_sample_with_its_description(source):
    assert source.build() == ["1", "2", "sub/10"]
    assert list(source.built.descriptions) == ["1", "2", "sub/10"]
    assert source.built.refused == []
    assert source.log.messages == ["Decoded 3 new or changed of 3 pairs; 0 are unchanged"]
    for seed, (name, sample) in enumerate(source.built.items()):
        pixels = random_pixels((6, 7), seed=seed) % 9
        np.testing.assert_array_equal(sample.image[:, :, 0], pixels)
        np.testing.assert_array_equal(sample.label, pixels > 0)
        assert sorted(os.listdir(source.samples / name)) == OF_A_SAMPLE
        assert source.described(name) == source.built.descriptions[name]


class TestUnchanged:
    def test_samples_are_kept(self, source):
        source.build()
        first, before = source.built, source.on_disk()
        assert source.build() == []
        assert source.log.messages == ["Nothing has changed: none of 3 pairs was decoded"]
        assert source.built.descriptions == first.descriptions
        assert list(source.built.descriptions) == list(first.descriptions)
        assert source.on_disk() == before

    @pytest.mark.parametrize("folder", ["images", "masks"])
    def test_file_with_the_same_bytes_gets_its_new_signature(self, source, folder):
        source.build()
        before = source.built.descriptions
        touch(source.root / folder / "1.tif")
        assert source.build() == []
        assert source.described("1") == source.built.descriptions["1"]
        stamps = {name: source.built.descriptions[name]["stamp"] for name in before}
        assert [stamps[name] != before[name]["stamp"] for name in before] == [True, False, False]
        again = source.on_disk()
        assert source.build() == []
        assert source.on_disk() == again

    def test_pair_with_another_group_or_split_is_not_decoded(self, source):
        plan = source.plan()
        source.build(plan)
        pairs = [replace(pair, group="g", split="test") for pair in plan.pairs]
        assert source.build(replace(plan, pairs=pairs)) == []
        assert source.described("2")["source_group"] == "g"
        assert source.built.descriptions["2"]["source_split"] == "test"

    def test_repacked_archive_is_not_decoded(self, source):
        archive = source.root.with_suffix(".zip")
        for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            with zipfile.ZipFile(archive, "w", compression) as opened:
                for path in source.root.rglob("*.tif"):
                    opened.write(path, path.relative_to(source.root))
            decoded = source.build(root=archive)
            assert decoded == (["1", "2", "sub/10"] if compression == zipfile.ZIP_STORED else [])

    def test_pairs_beside_a_new_one_are_kept(self, source):
        source.build()
        write_pair(source.root, "3")
        assert source.build() == ["3"]
        assert list(source.built.descriptions) == ["1", "2", "3", "sub/10"]


class TestChanged:
    @pytest.mark.parametrize("folder", ["images", "masks"])
    def test_pair_with_other_bytes_is_built_again(self, source, folder):
        source.build()
        before = source.built.descriptions
        write_pair(source.root, "2", seed=7, folders=[folder])
        assert source.build() == ["2"]
        column = {"images": "image_sha256", "masks": "mask_sha256"}[folder]
        changed = [source.built.descriptions[n][column] != before[n][column] for n in before]
        assert changed == [False, True, False]
        sample = SampleFolder(source.samples, source.built.descriptions)["2"]
        pixels = sample.image[:, :, 0] if folder == "images" else sample.label
        expected = random_pixels((6, 7), seed=7) % 9
        np.testing.assert_array_equal(pixels, expected if folder == "images" else expected > 0)

    @pytest.mark.parametrize(
        "class_map",
        [
            replace(MEANING, binarise_at=4),
            replace(MEANING, ignore=(8,)),
            ClassMap((ClassSpec("background", (0,)), ClassSpec("cell", None))),
            ClassMap((ClassSpec("background", (0, 1)), ClassSpec("nucleus", None))),
            ClassMap((*MEANING.classes, ClassSpec("third", (3,)))),
        ],
        ids=["binarise_at", "ignored value", "class name", "class value", "third class"],
    )
    def test_class_map_invalidates_all_samples(self, source, class_map):
        source.build()
        assert source.build(class_map=class_map) == ["1", "2", "sub/10"]
        assert source.build(class_map=class_map) == []

    def test_limit_of_pixels_invalidates_all_samples(self, source):
        source.build()
        assert source.build(max_pixels=41) == ["1", "2", "sub/10"]
        assert [refusal.id for refusal in source.built.rejected] == ["1", "2", "sub/10"]

    def test_region_invalidates_its_pair(self, source):
        for name in ("1", "2", "sub/10"):
            write_pair(source.root, name, folders=["regions"])
        source.build()
        assert source.build(regions="regions") == ["1", "2", "sub/10"]
        assert source.build(regions="regions") == []
        write_pair(source.root, "1", seed=5, folders=["regions"])
        touch(source.root / "regions" / "2.tif")
        assert source.build(regions="regions") == ["1"]
        assert source.build() == ["1", "2", "sub/10"]

    def test_other_folder_invalidates_all_samples(self, source):
        source.build()
        source.root.rename(source.root.with_name("moved"))
        assert source.build(root=source.root.with_name("moved")) == ["1", "2", "sub/10"]
        assert source.described("1")["image_file"].endswith("moved/images/1.tif")

    @pytest.mark.parametrize(
        "content", [b"", b'{"stamp": "', b"\xff\xfe", b"{}", b"[]", b"null", b'"text"', b"7"]
    )
    def test_damaged_description_is_replaced(self, source, content):
        source.build()
        whole = source.described("2")
        (source.samples / "2" / "sample.json").write_bytes(content)
        assert source.build() == ["2"]
        assert source.described("2") == whole == source.built.descriptions["2"]

    @pytest.mark.parametrize("missing", OF_A_SAMPLE)
    def test_sample_with_a_missing_file_is_built_again(self, source, missing):
        source.build()
        (source.samples / "sub/10" / missing).unlink()
        assert source.build() == ["sub/10"]
        assert sorted(os.listdir(source.samples / "sub/10")) == OF_A_SAMPLE

    def test_sample_with_missing_instances_is_built_again(self, tmp_path, monkeypatch, log):
        source = Source(tmp_path, monkeypatch, log)
        write_pair(source.root / "1", "a")
        pairs = find_pairs(source.root, "objects", {}).pairs
        plan = Plan(pairs, ClassMap(tuple(CLASSES)), max_pixels=1000, workers=1)
        assert [source.build(plan), source.build(plan)] == [["1"], []]
        (source.samples / "1" / "instances.tif").unlink()
        assert source.build(plan) == ["1"]
        assert (source.samples / "1" / "instances.tif").is_file()


class TestRemoved:
    def test_sample_without_pair_goes_with_its_folder(self, source):
        source.build()
        for folder in ("images", "masks"):
            (source.root / folder / "1.tif").unlink()
        assert source.build() == []
        assert list(source.built.descriptions) == ["2", "sub/10"]
        assert source.log.messages[0].endswith("; removed 1 earlier samples")
        assert sorted(os.listdir(source.samples)) == ["2", "sub"]

    def test_sample_is_counted_once(self, source):
        source.build()
        shutil.rmtree(source.root / "images" / "sub")
        source.build()
        source.build()
        assert "removed" not in source.log.messages[0]

    def test_other_files_are_kept(self, source):
        source.build()
        (source.samples / "notes").mkdir()
        (source.samples / "notes" / "read.me").write_text("mine")
        source.build()
        assert (source.samples / "notes" / "read.me").read_text() == "mine"


class TestKilledRun:
    def kill(self, source, at, workers=1):
        """Interrupt the run when the pair of this number is read."""
        whole, calls = source.read_pair, []

        def die(pair, *others):
            calls.append(pair.id)
            if len(calls) == at:
                raise KeyboardInterrupt
            return whole(pair, *others)

        source.read_pair = die
        with pytest.raises(KeyboardInterrupt):
            source.build(workers=workers)
        source.read_pair = whole

    @pytest.mark.parametrize("at", [1, 2, 3])
    @pytest.mark.parametrize("workers", [1, 4])
    def test_complete_samples_are_kept_by_the_next_run(self, source, at, workers):
        self.kill(source, at, workers)
        complete = {path.parent for path in source.samples.rglob("sample.json")}
        assert len(complete) == 2, "all others were under way already"
        for folder in complete:
            assert sorted(os.listdir(folder)) == OF_A_SAMPLE
        assert len(source.build()) == 1
        assert list(source.built.descriptions) == ["1", "2", "sub/10"]

    def test_failure_does_not_wait_for_all_other_pairs(self, source):
        for number in range(30):
            write_pair(source.root, f"more {number}")
        self.kill(source, at=1)
        assert len(source.decoded) <= 6

    def test_incomplete_sample_does_not_count(self, source, monkeypatch):
        def interrupt(*_):
            raise KeyboardInterrupt

        source.build()
        write_pair(source.root, "2", seed=9)
        with monkeypatch.context() as patch:
            patch.setattr("unetflow.data.samples.write_description", interrupt)
            with pytest.raises(KeyboardInterrupt):
                source.build()
        assert not (source.samples / "2" / "sample.json").exists()
        assert source.build() == ["2"]


class TestRejectedPair:
    @pytest.fixture
    def damaged(self, source):
        """Return a source of which the image "2" is damaged."""
        (source.root / "images" / "2.tif").write_bytes(b"II*\0 no more")
        return source

    def test_error_names_the_file_and_other_pairs_are_built(self, damaged):
        assert damaged.build() == ["1", "2", "sub/10"]
        assert list(damaged.built.descriptions) == ["1", "sub/10"]
        (refusal,) = damaged.built.rejected
        assert refusal.id == "2"
        assert refusal.error.where == str(damaged.root / "images" / "2.tif")

    def test_error_is_remembered_until_a_file_of_the_pair_changes(self, damaged):
        damaged.build()
        (first,) = damaged.built.rejected
        assert damaged.build() == []
        assert damaged.built.rejected == [first]
        touch(damaged.root / "masks" / "1.tif")
        assert damaged.build() == []
        write_pair(damaged.root, "2", seed=3, folders=["masks"])
        assert damaged.build() == ["2"]
        write_pair(damaged.root, "2", seed=3)
        assert damaged.build() == ["2"]
        assert damaged.built.rejected == []
        assert list(damaged.built.descriptions) == ["1", "2", "sub/10"]

    def test_error_is_forgotten_with_another_class_map(self, damaged):
        damaged.build()
        assert "2" in damaged.build(class_map=replace(MEANING, ignore=(3,)))

    def test_error_replaces_the_sample_until_the_file_is_restored(self, source):
        source.build()
        path = source.root / "images" / "2.tif"
        whole = path.read_bytes()
        path.write_bytes(whole[:-1])
        assert source.build() == ["2"]
        assert list(source.built.descriptions) == ["1", "sub/10"]
        assert source.build() == []
        path.write_bytes(whole)
        assert source.build() == []
        assert list(source.built.descriptions) == ["1", "2", "sub/10"]
        assert source.built.rejected == []

    def test_file_that_disappears_meanwhile_is_reported(self, source):
        plan = source.plan()
        (source.root / "masks" / "1.tif").unlink()
        source.build(plan)
        (refusal,) = source.built.rejected
        assert refusal.error.where == str(source.root / "masks" / "1.tif")
        assert "No such file" in refusal.error.problem

    def test_damaged_member_of_a_changed_archive_is_rejected(self, source):
        archive = source.root.with_suffix(".zip")
        for ending in (b"", b"damaged"):
            with zipfile.ZipFile(archive, "w") as opened:
                for path in source.root.rglob("*.tif"):
                    opened.writestr(str(path.relative_to(source.root)), path.read_bytes() + ending)
            archive.write_bytes(archive.read_bytes().replace(b"damaged", b"Damaged"))
            source.build(root=archive)
        assert source.built.descriptions == {}
        assert len(source.built.rejected) == 3
        for refusal in source.built.rejected:
            assert f"{archive}/" in refusal.error.where
            assert "it cannot be read" in refusal.error.problem

    @pytest.mark.parametrize("name", ["1/image.tif", "Sample.json", "sub/overview.npz/3"])
    def test_reserved_file_name_is_rejected(self, source, name):
        write_pair(source.root, name)
        assert source.build() == ["1", "2", "sub/10"]
        (refusal,) = source.built.rejected
        assert refusal.error.where == str(source.root / "images" / f"{name}.tif")
        assert refusal.error.problem == "samples have a file of that name"

    def test_programming_error_is_not_caught(self, source):
        def fail(*_):
            raise ZeroDivisionError

        source.read_pair = fail
        with pytest.raises(ZeroDivisionError):
            source.build()


class TestWorkers:
    def test_do_not_change_the_results_or_their_order(self, source):
        for number in range(20):
            write_pair(source.root, f"n{number}", seed=number)
        (source.root / "images" / "n3.tif").write_bytes(b"damaged")
        results = []
        for workers in (1, 4):
            source.samples = source.root.parent / f"samples of {workers}"
            source.rejected = []
            source.build(workers=workers)
            pixels = {
                path.relative_to(source.samples): path.read_bytes()
                for path in source.samples.rglob("*.*")
            }
            refused = [(r.id, r.signature, str(r.error)) for r in source.built.rejected]
            results.append((list(source.built.descriptions.items()), refused, pixels))
        assert results[0] == results[1]
        assert [refusal[0] for refusal in results[0][1]] == ["n3"]

    def test_results_keep_the_order_of_the_pairs(self, source):
        whole = source.read_pair

        def be_slow_at_first(pair, *others):
            time.sleep(0.2 if pair.id == "1" else 0)
            return whole(pair, *others)

        source.read_pair = be_slow_at_first
        source.build(workers=3)
        assert list(source.built.descriptions) == ["1", "2", "sub/10"]
        assert sorted(source.decoded) == ["1", "2", "sub/10"]  # threads start in any order

    def test_decode_side_by_side(self, source):
        together = threading.Barrier(3, timeout=300)
        whole = source.read_pair

        def meet(pair, *others):
            together.wait()
            return whole(pair, *others)

        source.read_pair = meet
        assert len(source.build(workers=3)) == 3

    def test_samples_are_not_kept_in_memory(self, source):
        for number in range(30):
            write_pair(source.root, f"n{number}", seed=number)
        whole, images = source.read_pair, []

        def watch(pair, *others):
            assert sum(image() is not None for image in images) <= 1
            described = whole(pair, *others)
            images.append(weakref.ref(described.sample.image))
            return described

        source.read_pair = watch
        assert len(source.build()) == 33


def test_pairs_that_the_source_refuses_are_not_built(source):
    (source.root / "masks" / "1.tif").unlink()
    source.build()
    assert list(source.built.descriptions) == ["2", "sub/10"]
    assert source.built.rejected == []


def test_errors_are_those_of_the_reader(source):
    write_tiff(source.root / "masks" / "1.tif", np.zeros((2, 2), np.uint8))
    source.build()
    (refusal,) = source.built.rejected
    assert type(refusal.error) is InputError
    assert Path(refusal.error.where) == source.root / "masks" / "1.tif"
    assert refusal.error.problem == "the mask is 2 x 2, but its image is 7 x 6"


def test_a_renamed_folder_of_masks_is_named_though_nothing_is_decoded(source):
    source.build()
    (source.root / "masks").rename(source.root / "labels")
    assert source.build(masks="labels") == []
    assert source.described("1")["mask_file"] == str(source.root / "labels" / "1.tif")
    os.utime(source.root / "images" / "1.tif", (0, 0))
    assert source.build(masks="labels") == []
    assert source.described("1")["changed"] == "1970-01-01T00:00:00+00:00"


def test_processes_build_the_same_samples_as_threads(tmp_path, monkeypatch, log):
    source = tmp_path / "source"
    for name in ("a", "b", "c", "d"):
        for folder in ("images", "masks"):
            (source / name / folder).mkdir(parents=True)
        pixels = random_pixels((16, 16), np.uint8)
        Image.fromarray(pixels).save(source / name / "images" / "1.png")
        for number in range(2):
            mask = np.zeros((16, 16), np.uint8)
            mask[8 * number : 8 * number + 3, 2:5] = 255
            Image.fromarray(mask).save(source / name / "masks" / f"{number}.png")
    (source / "c" / "masks" / "1.png").write_bytes(b"no image")
    classes = (ClassSpec("background", (0,)), ClassSpec("object", (255,)))
    pairing = find_object_masks(list_files(source))
    wanted = Plan(pairing.pairs, ClassMap(classes), 10**6, 2)
    built = {}
    for many in (10**6, 0):
        monkeypatch.setattr("unetflow.data.sample_builder._MANY_FILES", many)
        monkeypatch.setattr("unetflow.data.sample_builder.count_cores", lambda: 2)
        built[many] = wanted.build(SampleFolder(tmp_path / str(many)))
        assert log.messages.pop().startswith("Decoded 4 new or changed of 4 pairs")
    assert built[0].descriptions == built[10**6].descriptions
    assert list(built[0].descriptions) == ["a", "b", "d"]
    for one, other in zip(built[0].rejected, built[10**6].rejected, strict=True):
        assert (one.id, one.signature, str(one.error)) == (
            other.id,
            other.signature,
            str(other.error),
        )
    assert [refusal.id for refusal in built[0].rejected] == ["c"]
    for name in ("image.tif", "label.tif", "instances.tif", "overview.npz", "sample.json"):
        made = (tmp_path / "0" / "a" / name).read_bytes()
        assert made == (tmp_path / str(10**6) / "a" / name).read_bytes()
