"""Samples are made anew when, and only when, what they come from has changed."""

import json
import os
import shutil
import threading
import time
import weakref
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.images import CLASSES, random_pixels
from unetflow.annotations.class_map import ClassMap
from unetflow.annotations.layouts.objects import find_object_masks
from unetflow.annotations.layouts.registry import find_pairs
from unetflow.config.classes import ClassSpec
from unetflow.core.errors import InputError
from unetflow.data import sample_builder as intake
from unetflow.data.sample_builder import SampleSources, build_samples
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
    """Give a file another time without changing it."""
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 10**9))


class Source:
    """A folder of images and masks, the samples made of it, and what was decoded for that."""

    def __init__(self, root, monkeypatch):
        self.root = root / "raw"
        self.samples = root / "samples"
        self.decoded = []
        self.refused = []
        self.read_pair = intake.read_pair
        monkeypatch.setattr(intake, "read_pair", self._read_pair)

    def _read_pair(self, pair, *others):
        self.decoded.append(pair.id)
        return self.read_pair(pair, *others)

    def plan(self, class_map=MEANING, workers=1, max_pixels=1000, root=None, **options):
        pairs = find_pairs(root or self.root, "folders", options).pairs
        return SampleSources(pairs, class_map, max_pixels, workers)

    def take(self, plan=None, **options):
        """Take everything in; return what was decoded, in alphabetical order."""
        self.decoded.clear()
        self.taken = build_samples(self.samples, plan or self.plan(**options), self.refused)
        self.refused = self.taken.refused
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
def source(tmp_path, monkeypatch):
    source = Source(tmp_path, monkeypatch)
    for seed, name in enumerate(["1", "2", "sub/10"]):
        write_pair(source.root, name, seed)
    return source


def test_every_pair_becomes_a_sample_with_its_description(source):
    assert source.take() == ["1", "2", "sub/10"]
    assert list(source.taken.descriptions) == ["1", "2", "sub/10"]
    assert (source.taken.refused, source.taken.decoded, source.taken.removed) == ([], 3, 0)
    folder = SampleFolder(source.samples, source.taken.descriptions)
    for seed, (name, sample) in enumerate(folder.items()):
        pixels = random_pixels((6, 7), seed=seed) % 9
        np.testing.assert_array_equal(sample.image[:, :, 0], pixels)
        np.testing.assert_array_equal(sample.label, pixels > 0)
        assert sorted(os.listdir(source.samples / name)) == OF_A_SAMPLE
        assert source.described(name) == source.taken.descriptions[name]


class TestWhatIsLeftAlone:
    def test_is_everything_when_nothing_has_changed(self, source):
        source.take()
        first, before = source.taken, source.on_disk()
        assert source.take() == []
        assert source.taken.decoded == 0
        assert source.taken.descriptions == first.descriptions
        assert list(source.taken.descriptions) == list(first.descriptions)
        assert source.on_disk() == before

    @pytest.mark.parametrize("folder", ["images", "masks"])
    def test_is_a_file_with_the_bytes_of_before_whose_new_time_is_noted(self, source, folder):
        source.take()
        before = source.taken.descriptions
        touch(source.root / folder / "1.tif")
        assert source.take() == []
        assert source.described("1") == source.taken.descriptions["1"]
        stamps = {name: source.taken.descriptions[name]["stamp"] for name in before}
        assert [stamps[name] != before[name]["stamp"] for name in before] == [True, False, False]
        again = source.on_disk()
        assert source.take() == []
        assert source.on_disk() == again

    def test_is_a_pair_of_which_only_group_or_split_are_others(self, source):
        plan = source.plan()
        source.take(plan)
        pairs = [replace(pair, group="g", split="test") for pair in plan.pairs]
        assert source.take(replace(plan, pairs=pairs)) == []
        assert source.described("2")["source_group"] == "g"
        assert source.taken.descriptions["2"]["source_split"] == "test"

    def test_is_an_archive_that_was_packed_again(self, source):
        archive = source.root.with_suffix(".zip")
        for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            with zipfile.ZipFile(archive, "w", compression) as opened:
                for path in source.root.rglob("*.tif"):
                    opened.write(path, path.relative_to(source.root))
            decoded = source.take(root=archive)
            assert decoded == (["1", "2", "sub/10"] if compression == zipfile.ZIP_STORED else [])

    def test_is_a_pair_beside_one_that_is_new(self, source):
        source.take()
        write_pair(source.root, "3")
        assert source.take() == ["3"]
        assert list(source.taken.descriptions) == ["1", "2", "3", "sub/10"]


class TestWhatIsMadeAnew:
    @pytest.mark.parametrize("folder", ["images", "masks"])
    def test_is_a_pair_with_other_bytes(self, source, folder):
        source.take()
        before = source.taken.descriptions
        write_pair(source.root, "2", seed=7, folders=[folder])
        assert source.take() == ["2"]
        column = {"images": "image_sha256", "masks": "mask_sha256"}[folder]
        changed = [source.taken.descriptions[n][column] != before[n][column] for n in before]
        assert changed == [False, True, False]
        sample = SampleFolder(source.samples, source.taken.descriptions)["2"]
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
    def test_is_everything_when_the_masks_mean_something_else(self, source, class_map):
        source.take()
        assert source.take(class_map=class_map) == ["1", "2", "sub/10"]
        assert source.take(class_map=class_map) == []

    def test_is_everything_when_another_size_is_allowed(self, source):
        source.take()
        assert source.take(max_pixels=41) == ["1", "2", "sub/10"]
        assert [refusal.id for refusal in source.taken.refused] == ["1", "2", "sub/10"]

    def test_is_a_pair_whose_region_has_come_or_changed_or_gone(self, source):
        for name in ("1", "2", "sub/10"):
            write_pair(source.root, name, folders=["regions"])
        source.take()
        assert source.take(regions="regions") == ["1", "2", "sub/10"]
        assert source.take(regions="regions") == []
        write_pair(source.root, "1", seed=5, folders=["regions"])
        touch(source.root / "regions" / "2.tif")
        assert source.take(regions="regions") == ["1"]
        assert source.take() == ["1", "2", "sub/10"]

    def test_is_everything_in_another_place(self, source):
        source.take()
        source.root.rename(source.root.with_name("moved"))
        assert source.take(root=source.root.with_name("moved")) == ["1", "2", "sub/10"]
        assert source.described("1")["image_file"].endswith("moved/images/1.tif")

    @pytest.mark.parametrize(
        "content", [b"", b'{"stamp": "', b"\xff\xfe", b"{}", b"[]", b"null", b'"text"', b"7"]
    )
    def test_is_a_sample_whose_description_is_damaged(self, source, content):
        source.take()
        whole = source.described("2")
        (source.samples / "2" / "sample.json").write_bytes(content)
        assert source.take() == ["2"]
        assert source.described("2") == whole == source.taken.descriptions["2"]

    @pytest.mark.parametrize("missing", OF_A_SAMPLE)
    def test_is_a_sample_of_which_a_file_is_missing(self, source, missing):
        source.take()
        (source.samples / "sub/10" / missing).unlink()
        assert source.take() == ["sub/10"]
        assert sorted(os.listdir(source.samples / "sub/10")) == OF_A_SAMPLE

    def test_is_a_sample_of_which_the_objects_are_missing(self, tmp_path, monkeypatch):
        source = Source(tmp_path, monkeypatch)
        write_pair(source.root / "1", "a")
        pairs = find_pairs(source.root, "objects", {}).pairs
        plan = SampleSources(pairs, ClassMap(tuple(CLASSES)), max_pixels=1000, workers=1)
        assert [source.take(plan), source.take(plan)] == [["1"], []]
        (source.samples / "1" / "instances.tif").unlink()
        assert source.take(plan) == ["1"]
        assert (source.samples / "1" / "instances.tif").is_file()


class TestWhatIsRemoved:
    def test_is_a_sample_whose_pair_is_gone_with_its_folder(self, source):
        source.take()
        for folder in ("images", "masks"):
            (source.root / folder / "1.tif").unlink()
        assert source.take() == []
        assert list(source.taken.descriptions) == ["2", "sub/10"]
        assert source.taken.removed == 1
        assert sorted(os.listdir(source.samples)) == ["2", "sub"]

    def test_is_counted_once(self, source):
        source.take()
        shutil.rmtree(source.root / "images" / "sub")
        source.take()
        source.take()
        assert source.taken.removed == 0

    def test_is_nothing_that_is_no_sample(self, source):
        source.take()
        (source.samples / "notes").mkdir()
        (source.samples / "notes" / "read.me").write_text("mine")
        source.take()
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
            source.take(workers=workers)
        source.read_pair = whole

    @pytest.mark.parametrize("at", [1, 2, 3])
    @pytest.mark.parametrize("workers", [1, 4])
    def test_leaves_complete_samples_that_the_next_run_keeps(self, source, at, workers):
        self.kill(source, at, workers)
        complete = {path.parent for path in source.samples.rglob("sample.json")}
        assert len(complete) == 2, "all others were under way already"
        for folder in complete:
            assert sorted(os.listdir(folder)) == OF_A_SAMPLE
        assert len(source.take()) == 1
        assert list(source.taken.descriptions) == ["1", "2", "sub/10"]

    def test_does_not_read_all_the_rest_first(self, source):
        for number in range(30):
            write_pair(source.root, f"more {number}")
        self.kill(source, at=1)
        assert len(source.decoded) <= 6

    def test_in_the_middle_of_a_sample_leaves_one_that_does_not_count(self, source, monkeypatch):
        def interrupt(*_):
            raise KeyboardInterrupt

        source.take()
        write_pair(source.root, "2", seed=9)
        with monkeypatch.context() as patch:
            patch.setattr("unetflow.data.samples.write_description", interrupt)
            with pytest.raises(KeyboardInterrupt):
                source.take()
        assert not (source.samples / "2" / "sample.json").exists()
        assert source.take() == ["2"]


class TestRefusal:
    @pytest.fixture
    def damaged(self, source):
        """Return a source of which the image "2" is damaged."""
        (source.root / "images" / "2.tif").write_bytes(b"II*\0 no more")
        return source

    def test_names_the_file_and_leaves_the_others_alone(self, damaged):
        assert damaged.take() == ["1", "2", "sub/10"]
        assert list(damaged.taken.descriptions) == ["1", "sub/10"]
        (refusal,) = damaged.taken.refused
        assert refusal.id == "2"
        assert refusal.error.where == str(damaged.root / "images" / "2.tif")

    def test_is_remembered_until_a_file_of_the_pair_changes(self, damaged):
        damaged.take()
        (first,) = damaged.taken.refused
        assert damaged.take() == []
        assert damaged.taken.refused == [first]
        touch(damaged.root / "masks" / "1.tif")
        assert damaged.take() == []
        write_pair(damaged.root, "2", seed=3, folders=["masks"])
        assert damaged.take() == ["2"]
        write_pair(damaged.root, "2", seed=3)
        assert damaged.take() == ["2"]
        assert damaged.taken.refused == []
        assert list(damaged.taken.descriptions) == ["1", "2", "sub/10"]

    def test_is_not_remembered_when_the_masks_mean_something_else(self, damaged):
        damaged.take()
        assert "2" in damaged.take(class_map=replace(MEANING, ignore=(3,)))

    def test_takes_the_place_of_a_sample_until_the_file_is_as_before(self, source):
        source.take()
        path = source.root / "images" / "2.tif"
        whole = path.read_bytes()
        path.write_bytes(whole[:-1])
        assert source.take() == ["2"]
        assert list(source.taken.descriptions) == ["1", "sub/10"]
        assert source.take() == []
        path.write_bytes(whole)
        assert source.take() == []
        assert list(source.taken.descriptions) == ["1", "2", "sub/10"]
        assert source.taken.refused == []

    def test_says_that_a_file_has_gone_meanwhile(self, source):
        plan = source.plan()
        (source.root / "masks" / "1.tif").unlink()
        source.take(plan)
        (refusal,) = source.taken.refused
        assert refusal.error.where == str(source.root / "masks" / "1.tif")
        assert "No such file" in refusal.error.problem

    def test_is_made_for_a_damaged_member_of_a_changed_archive(self, source):
        archive = source.root.with_suffix(".zip")
        for ending in (b"", b"damaged"):
            with zipfile.ZipFile(archive, "w") as opened:
                for path in source.root.rglob("*.tif"):
                    opened.writestr(str(path.relative_to(source.root)), path.read_bytes() + ending)
            archive.write_bytes(archive.read_bytes().replace(b"damaged", b"Damaged"))
            source.take(root=archive)
        assert source.taken.descriptions == {}
        assert len(source.taken.refused) == 3
        for refusal in source.taken.refused:
            assert f"{archive}/" in refusal.error.where
            assert "it cannot be read" in refusal.error.problem

    @pytest.mark.parametrize("name", ["1/image.tif", "Sample.json", "sub/overview.npz/3"])
    def test_is_made_for_a_name_that_a_file_of_a_sample_has(self, source, name):
        write_pair(source.root, name)
        assert source.take() == ["1", "2", "sub/10"]
        (refusal,) = source.taken.refused
        assert refusal.error.where == str(source.root / "images" / f"{name}.tif")
        assert refusal.error.problem == "samples have a file of that name"

    def test_is_no_excuse_for_a_mistake_of_the_programme(self, source):
        def fail(*_):
            raise ZeroDivisionError

        source.read_pair = fail
        with pytest.raises(ZeroDivisionError):
            source.take()


class TestWorkers:
    def test_do_not_change_the_results_or_their_order(self, source):
        for number in range(20):
            write_pair(source.root, f"n{number}", seed=number)
        (source.root / "images" / "n3.tif").write_bytes(b"damaged")
        results = []
        for workers in (1, 4):
            source.samples = source.root.parent / f"samples of {workers}"
            source.refused = []
            source.take(workers=workers)
            pixels = {
                path.relative_to(source.samples): path.read_bytes()
                for path in source.samples.rglob("*.*")
            }
            refused = [(r.id, r.signature, str(r.error)) for r in source.taken.refused]
            results.append((list(source.taken.descriptions.items()), refused, pixels))
        assert results[0] == results[1]
        assert [refusal[0] for refusal in results[0][1]] == ["n3"]

    def test_that_come_later_wait_for_those_before(self, source):
        whole = source.read_pair

        def be_slow_at_first(pair, *others):
            time.sleep(0.2 if pair.id == "1" else 0)
            return whole(pair, *others)

        source.read_pair = be_slow_at_first
        source.take(workers=3)
        assert list(source.taken.descriptions) == ["1", "2", "sub/10"]
        assert sorted(source.decoded) == ["1", "2", "sub/10"]  # threads start in any order

    def test_decode_side_by_side(self, source):
        together = threading.Barrier(3, timeout=20)
        whole = source.read_pair

        def meet(pair, *others):
            together.wait()
            return whole(pair, *others)

        source.read_pair = meet
        assert len(source.take(workers=3)) == 3

    def test_keep_no_sample_in_memory(self, source):
        for number in range(30):
            write_pair(source.root, f"n{number}", seed=number)
        whole, images = source.read_pair, []

        def watch(pair, *others):
            assert sum(image() is not None for image in images) <= 1
            described = whole(pair, *others)
            images.append(weakref.ref(described.sample.image))
            return described

        source.read_pair = watch
        assert len(source.take()) == 33


def test_refused_pairs_of_the_source_are_no_pairs(source):
    (source.root / "masks" / "1.tif").unlink()
    source.take()
    assert list(source.taken.descriptions) == ["2", "sub/10"]
    assert source.taken.refused == []


def test_errors_are_the_ones_of_the_reader(source):
    write_tiff(source.root / "masks" / "1.tif", np.zeros((2, 2), np.uint8))
    source.take()
    (refusal,) = source.taken.refused
    assert type(refusal.error) is InputError
    assert Path(refusal.error.where) == source.root / "masks" / "1.tif"
    assert refusal.error.problem == "the mask is 2 x 2, but its image is 7 x 6"


def test_a_renamed_folder_of_masks_is_named_though_nothing_is_decoded(source):
    source.take()
    (source.root / "masks").rename(source.root / "labels")
    assert source.take(masks="labels") == []
    assert source.described("1")["mask_file"] == str(source.root / "labels" / "1.tif")
    os.utime(source.root / "images" / "1.tif", (0, 0))
    assert source.take(masks="labels") == []
    assert source.described("1")["changed"] == "1970-01-01T00:00:00+00:00"


def test_processes_make_the_same_samples_as_threads(tmp_path, monkeypatch):
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
    wanted = SampleSources(pairing.pairs, ClassMap(classes), 10**6, 2)
    taken = {}
    for many in (10**6, 0):
        monkeypatch.setattr("unetflow.data.sample_builder._MANY_FILES", many)
        monkeypatch.setattr("unetflow.data.sample_builder.count_cores", lambda: 2)
        taken[many] = build_samples(tmp_path / str(many), wanted)
    assert taken[0].descriptions == taken[10**6].descriptions
    assert list(taken[0].descriptions) == ["a", "b", "d"]
    for one, other in zip(taken[0].refused, taken[10**6].refused, strict=True):
        assert (one.id, one.signature, str(one.error)) == (
            other.id,
            other.signature,
            str(other.error),
        )
    assert [refusal.id for refusal in taken[0].refused] == ["c"]
    assert taken[0].decoded == 4
    for name in ("image.tif", "label.tif", "instances.tif", "overview.npz", "sample.json"):
        made = (tmp_path / "0" / "a" / name).read_bytes()
        assert made == (tmp_path / str(10**6) / "a" / name).read_bytes()
