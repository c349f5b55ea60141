"""Files of segmenters that are damaged, changed, incomplete or made by somebody else."""

import hashlib
import io
import json
import os
import pickle
import subprocess
import zipfile

import keras
import numpy as np
import pytest

from tests.support.networks import ONE_PIXEL
from tests.support.segmenter_settings import make_settings
from unetflow.core.errors import InputError
from unetflow.inference.segmenter import Segmenter

OTHERS = ("openvino", "onnx")
FILES = {"keras": "segmenter.keras", "openvino": "openvino.zip", "onnx": "onnx.zip"}


@pytest.fixture(scope="module")
def written(segmenter, exports, tmp_path_factory):
    """The same segmenter in all kinds of files."""
    folder = tmp_path_factory.mktemp("written")
    segmenter.save(folder / FILES["keras"])
    for runtime in OTHERS:
        exports[runtime].write(folder / FILES[runtime])
    return folder


def change(path, to, edit, **options):
    """Copy an archive with its members changed."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(to, "w", **options) as new:
        members = {name: old.read(name) for name in old.namelist()}
        edit(members)
        for name, content in members.items():
            new.writestr(name, content)
    return to


def refused(path):
    with pytest.raises(InputError) as caught:
        Segmenter.load(path)
    assert caught.value.where == str(path)
    return caught.value.problem


def a_part(members):
    return next(name for name in members if name.startswith(("network", "model.weights")))


@pytest.mark.parametrize(("kind", "name"), FILES.items())
def test_a_file_holds_the_digests_of_all_its_other_parts(written, kind, name):
    with zipfile.ZipFile(written / name) as archive, zipfile.ZipFile(written / name) as again:
        digests = json.loads(archive.read("digests.json"))
        assert set(digests) == set(archive.namelist()) - {"digests.json"}
        assert "segmenter.json" in digests
        for member, digest in digests.items():
            done = subprocess.run(
                ["sha256sum"], check=True, capture_output=True, input=again.read(member)
            )
            assert done.stdout.split()[0].decode() == digest


@pytest.mark.parametrize("name", FILES.values())
def test_a_part_that_was_exchanged_is_named(written, tmp_path, name):
    def edit(members):
        part = a_part(members)
        members[part] = members[part][:-1] + bytes([members[part][-1] ^ 1])

    problem = refused(change(written / name, tmp_path / name, edit))
    assert "changed after it was written: the SHA-256 of " in problem
    assert "network" in problem or "model.weights.h5" in problem


@pytest.mark.parametrize("name", FILES.values())
def test_settings_that_were_exchanged_are_named(written, tmp_path, name):
    def edit(members):
        members["segmenter.json"] = members["segmenter.json"].replace(b"0.4", b"0.1")

    problem = refused(change(written / name, tmp_path / name, edit))
    assert "the SHA-256 of segmenter.json is not that in digests.json" in problem


@pytest.mark.parametrize("name", FILES.values())
def test_a_missing_part_is_named(written, tmp_path, name):
    problem = refused(change(written / name, tmp_path / name, lambda m: m.pop(a_part(m))))
    assert problem.startswith("a part is missing: ")


@pytest.mark.parametrize("name", FILES.values())
def test_a_part_that_does_not_belong_to_it_is_named(written, tmp_path, name):
    problem = refused(
        change(written / name, tmp_path / name, lambda m: m.update({"assets/more.py": b"1"}))
    )
    assert problem == "a part does not belong to it: assets/more.py"


@pytest.mark.parametrize("name", FILES.values())
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_part_that_is_there_twice_is_named(written, tmp_path, name):
    changed = change(written / name, tmp_path / name, lambda members: None)
    with zipfile.ZipFile(changed, "a") as archive:
        archive.writestr("segmenter.json", "{}")
    assert refused(changed) == "it has a part twice: segmenter.json"


@pytest.mark.parametrize("name", FILES.values())
@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b"text", lambda b: b[: len(b) // 2]])
def test_a_file_that_was_cut_off_is_refused(written, tmp_path, name, damage):
    (tmp_path / name).write_bytes(damage((written / name).read_bytes()))
    assert refused(tmp_path / name).startswith("it is not an archive, or it is damaged")


@pytest.mark.parametrize("name", FILES.values())
def test_a_byte_that_flipped_is_noticed(written, tmp_path, name):
    content = bytearray((written / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / name).write_bytes(content)
    assert "damaged" in refused(tmp_path / name)


@pytest.mark.parametrize("text", [b"{", b"[]", b"3", b"[[1]]", b" " * 200_000 + b"{}"])
def test_digests_that_make_no_sense_are_refused(written, tmp_path, text):
    path = tmp_path / "changed.zip"
    change(written / FILES["onnx"], path, lambda members: members.update({"digests.json": text}))
    assert refused(path).startswith(("digests.json", "a part does not belong to it"))


def test_a_keras_file_from_before_there_were_digests_still_loads(written, tmp_path, segmenter):
    old = tmp_path / "old.keras"
    change(written / FILES["keras"], old, lambda members: members.pop("digests.json"))
    assert Segmenter.load(old).settings == segmenter.settings


@pytest.mark.parametrize("runtime", OTHERS)
def test_an_export_without_digests_is_refused(written, tmp_path, runtime):
    path = tmp_path / "changed.zip"
    change(written / FILES[runtime], path, lambda members: members.pop("digests.json"))
    assert refused(path) == "it is not an exported segmenter: no digests.json"


def test_a_compressed_export_is_refused_before_it_is_unpacked(written, tmp_path):
    path, packed = tmp_path / "changed.zip", {"compression": zipfile.ZIP_DEFLATED}
    change(written / FILES["onnx"], path, lambda members: None, **packed)
    assert refused(path) == "it is not an exported segmenter: a part is compressed"


def reseal(members):
    """Write digests that fit, as somebody who wants to deceive would."""
    members.pop("digests.json", None)
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in members.items()}
    members["digests.json"] = json.dumps(digests).encode()


@pytest.mark.parametrize("runtime", OTHERS)
def test_a_network_that_is_none_is_refused_although_its_digest_is_right(written, tmp_path, runtime):
    def edit(members):
        members[a_part(members)] = b"no network"
        reseal(members)

    problem = refused(change(written / FILES[runtime], tmp_path / "changed.zip", edit))
    assert problem.startswith("network")
    assert "cannot read it" in problem or "not an ONNX file" in problem


def test_a_foreign_archive_is_refused_although_its_digests_are_right(written, tmp_path):
    def edit(members):
        members["weights.pickle"] = members.pop("network.onnx")
        reseal(members)

    problem = refused(change(written / FILES["onnx"], tmp_path / "changed.zip", edit))
    assert problem == "beside the settings it holds weights.pickle, the network of no runtime"


def test_a_network_that_does_not_fit_the_classes_is_refused(written, tmp_path):
    def edit(members):
        settings = json.loads(members["segmenter.json"])
        settings["classes"] = ["a", "b", "c"]
        members["segmenter.json"] = json.dumps(settings).encode()
        reseal(members)

    problem = refused(change(written / FILES["onnx"], tmp_path / "changed.zip", edit))
    assert "the model gives 1 probabilities for a pixel of 3 classes" in problem


def test_an_export_is_for_one_runtime(written):
    with pytest.raises(InputError, match="exported for the runtime 'onnx', not for 'keras'"):
        Segmenter.load(written / FILES["onnx"], "keras")
    assert Segmenter.load(written / FILES["onnx"], "auto").runtime.name == "onnx"


@pytest.mark.parametrize(("name", "runtime"), [("a.keras", "onnx"), ("a.zip", "keras")])
def test_an_export_that_would_be_a_keras_file_is_refused(segmenter, tmp_path, name, runtime):
    with pytest.raises(InputError, match="an export is for other runtimes than Keras"):
        segmenter.export(tmp_path / name, runtime)
    assert not list(tmp_path.iterdir())


def test_an_export_that_fails_leaves_the_old_file_and_no_other(
    segmenter, exports, tmp_path, monkeypatch
):
    path = tmp_path / "segmenter.zip"
    path.write_bytes(b"old")

    def fail(*arguments):
        raise OSError("disk full")

    monkeypatch.setattr(Segmenter, "convert", lambda self, runtime, calibration: exports[runtime])
    with monkeypatch.context() as patch:
        patch.setattr(zipfile.ZipFile, "writestr", fail)
        with pytest.raises(OSError, match="disk full"):
            segmenter.export(path, "onnx")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    segmenter.export(path, "onnx")
    assert Segmenter.load(path).runtime.name == "onnx"


def test_a_segmenter_that_would_run_code_is_refused_and_says_why(tmp_path):
    ran = []
    inputs = keras.Input((None, None, 1))
    outputs = keras.layers.Lambda(lambda x: ran.append(1) or x, output_shape=lambda s: s)(inputs)
    path = tmp_path / "lambda.keras"
    settings = make_settings(["a"], 0.5, 1, "uint8", ONE_PIXEL, 8)
    Segmenter(keras.Model(inputs, outputs), settings).save(path)
    ran.clear()
    problem = refused(path)
    assert "Lambda" in problem
    assert ran == []


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def test_a_pickled_object_is_refused_and_never_unpickled(written, tmp_path):
    went_off = tmp_path / "went off"
    pickled = pickle.dumps(Bomb(went_off))
    (tmp_path / "pickle.keras").write_bytes(pickled)
    assert "not an archive" in refused(tmp_path / "pickle.keras")

    array = io.BytesIO()
    np.savez(array, np.array([Bomb(went_off)], dtype=object))

    def edit(members):
        del members["model.weights.h5"]
        members["model.weights.npz"] = array.getvalue()
        reseal(members)

    problem = refused(change(written / FILES["keras"], tmp_path / "array.keras", edit))
    assert "cannot be loaded as a Keras model" in problem
    assert not went_off.exists()
    pickle.loads(pickled)  # noqa: S301 - which shows that it would have
    assert went_off.exists()
