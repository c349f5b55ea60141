"""The package for bioimage.io, read back by the format's own library."""

import re
import socket
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest
import yaml
from PIL import Image

from tests.inference.test_runtimes import TOLERANCE
from tests.support.model_packages import read_package
from tests.support.networks import draw, make_segmenter
from unetflow.config.mask_export import ObjectParameters
from unetflow.config.packaging import AuthorParameters, PackagingParameters
from unetflow.core.errors import InputError
from unetflow.inference.bioimageio import package
from unetflow.inference.bioimageio.package import BioimageioPackage, choose_window, smallest_edge
from unetflow.inference.postprocessing import Postprocessing
from unetflow.inference.runtimes.onnx_runtime import OnnxRuntime
from unetflow.inference.runtimes.runtime import convert_network
from unetflow.inference.segmenter import Segmenter

if TYPE_CHECKING:
    from bioimageio.spec.model.v0_5 import ModelDescr

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("bioimage.io")]

PACKAGING = PackagingParameters(
    name="Nuclei (test)",
    description="Finds what is bright.",
    authors=[AuthorParameters(name="Ann Example", orcid="0000-0002-1825-0097")],
    licence="CC-BY-4.0",
    tags=["unet", "2d"],
    version="1.2",
)
KINDS = {
    "same": {},
    "valid": {"padding": "valid", "channels": 3, "dtype": "uint16"},
    "classes": {"classes": 4, "padding": "valid", "depth": 1},
    "shallow": {"classes": 3, "channels": 3, "depth": 1},
    "objects": {"instances": "both", "depth": 1},
}


@dataclass
class Made:
    """A package, and what it was made of."""

    path: Path
    segmenter: Segmenter
    window: np.ndarray
    folder: Path
    model: "ModelDescr"

    @property
    def tensors(self):
        return [np.load(self.folder / f"test_{name}.npy") for name in ("input", "output")]

    @property
    def onnx(self):
        return OnnxRuntime({"network.onnx": (self.folder / "network.onnx").read_bytes()})


def no_network(*arguments):
    raise AssertionError("the network was asked")


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.setattr(socket.socket, "connect", no_network)


def load(path, *, perform_io_checks):
    with zipfile.ZipFile(path) as archive:
        return read_package(archive, perform_io_checks=perform_io_checks)


def something_found(segmenter, size=(150, 170)):
    """Return a window of a noisy image, and a segmenter of its kind that finds something there."""
    random = np.random.default_rng(3)
    return choose_window(segmenter, {"noise": lambda: draw(random, segmenter, size)})


@pytest.fixture(scope="module")
def plain():
    return make_segmenter(seed=1)


@pytest.fixture(scope="module")
def window(plain):
    return something_found(plain)


@pytest.fixture(scope="module")
def converted(plain):
    return convert_network(plain.model, "onnx")


@pytest.fixture
def quick(monkeypatch, plain, converted):
    """Return a segmenter whose conversion to ONNX, which costs seconds, is done."""
    monkeypatch.setattr(package, "convert_network", lambda model, runtime: converted)
    return plain


@pytest.fixture(scope="module", params=KINDS)
def made(request, tmp_path_factory):
    segmenter = make_segmenter(seed=1, **KINDS[request.param])
    window = something_found(segmenter)
    path = tmp_path_factory.mktemp("package") / "model.zip"
    BioimageioPackage(segmenter, window, PACKAGING).save(path)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(path.parent / "open")
    return Made(path, segmenter, window, path.parent / "open", load(path, perform_io_checks=False))


def test_the_formats_own_library_finds_it_valid(made):
    model = load(made.path, perform_io_checks=True)
    summary = model.validation_summary
    assert summary.status == "valid-format"
    assert [detail.status for detail in summary.details] == ["passed", "passed"]
    warned = {warning.loc[-1] for detail in summary.details for warning in detail.warnings}
    assert warned == {"sample_tensor"}


def test_an_author_of_github_is_not_asked_for_there(tmp_path, quick, window):
    author = {"name": "Ann Example", "github_user": "nobody-of-this-name"}
    packaging = PACKAGING.model_copy(update={"authors": [AuthorParameters(**author)]})
    BioimageioPackage(quick, window, packaging).save(tmp_path / "a.zip")
    model = load(tmp_path / "a.zip", perform_io_checks=False)
    assert model.authors[0].github_user == "nobody-of-this-name"


def test_it_says_what_the_user_said(made):
    model = made.model
    assert re.fullmatch(r"0\.5\.\d+", model.format_version)
    assert (model.name, model.description, str(model.license), str(model.version)) == (
        "Nuclei (test)",
        "Finds what is bright.",
        "CC-BY-4.0",
        "1.2",
    )
    assert [(a.name, str(a.orcid)) for a in model.authors] == [
        ("Ann Example", "0000-0002-1825-0097")
    ]
    assert "1505.04597" in str(model.cite[0].doi)
    text = (made.folder / "README.md").read_text()
    assert "Licence: CC-BY-4.0" in text
    assert "## Validation" in text
    assert "Don't normalise" in text


def test_both_networks_give_the_test_output(made):
    given, expected = made.tensors
    described = made.model.inputs[0]
    assert given.dtype == made.segmenter.settings.dtype == described.dtype
    assert described.data.range == (0, np.iinfo(given.dtype).max)
    np.testing.assert_array_equal(given[0], made.window)
    plain = keras.saving.load_model(made.folder / "segmenter.keras")
    for network in (plain.predict_on_batch, made.onnx):
        found = network(given.astype("f4"))
        np.testing.assert_allclose(found, expected, atol=TOLERANCE, rtol=0)
    assert expected.std() > 0.01


def test_the_outputs_for_objects_are_described(made):
    outputs = made.segmenter.settings.object_outputs
    description, names = made.model.outputs[0].description, made.model.outputs[0].axes[3]
    expected = [f"object {name}" for name in outputs]
    count = len(names.channel_names) - len(outputs)
    assert [str(name) for name in names.channel_names[count:]] == expected
    assert len(names.channel_names) == made.tensors[1].shape[3]
    assert all(name in description for name in expected)
    config = made.model.config.unetflow
    assert config["object_outputs"] == list(outputs)
    assert (config["separation"] is None) == (not outputs)


def test_the_snippet_in_the_documentation_gives_the_objects_of_the_segmenter(made, monkeypatch):
    segmenter, (_, output) = made.segmenter, made.tensors
    (code,) = re.findall(r"```python\n(.*?)```", (made.folder / "README.md").read_text(), re.DOTALL)
    monkeypatch.chdir(made.folder)
    found = {}
    exec(code, found)  # noqa: S102 - it is our own
    rule = segmenter.postprocessing.with_objects(ObjectParameters())
    expected = rule.segment(segmenter.split_outputs(output[0])).objects.numbers
    pairs = np.unique(np.stack([found["objects"].ravel(), expected.ravel()]), axis=1)
    assert pairs.shape[1] == len(np.unique(expected)) == len(np.unique(found["objects"]))


def test_the_keras_file_inside_is_the_segmenter_itself(made):
    inside = Segmenter.load(made.folder / "segmenter.keras")
    assert inside.settings == made.segmenter.settings
    np.testing.assert_array_equal(inside.predict(made.window), made.segmenter.predict(made.window))


@pytest.mark.parametrize("batch", [1, 2])
def test_every_described_size_gives_the_described_output(made, batch):
    network, axes = made.onnx, [("raw_image", axis) for axis in ("y", "x")]
    for steps in ((0, 0), (1, 0), (0, 3), (7, 2)):
        sizes = made.model.get_axis_sizes(dict(zip(axes, steps, strict=True)), batch_size=batch)
        shapes = [tuple(axis.values()) for axis in (sizes.inputs, sizes.outputs)]
        assert network(np.zeros(shapes[0], "u1")).shape == shapes[1]


def test_the_smallest_size_is_the_smallest_with_an_output_that_no_cut_changes(made):
    (low, step), cut = sizes_of(made.model), halo_of(made.model)
    geometry = made.segmenter.settings.geometry
    lost = -made.model.outputs[0].axes[1].size.offset
    assert lost == 2 * geometry.shrink
    assert low - lost - 2 * cut > 0 >= low - step - lost - 2 * cut
    assert step == geometry.stride


def sizes_of(model):
    size = model.inputs[0].axes[1].size
    return size.min, size.step


def halo_of(model):
    return getattr(model.outputs[0].axes[1], "halo", 0)


def test_pieces_without_their_halo_are_the_whole(made, random):
    """Cut as whoever reads nothing but the description would."""
    low, step = sizes_of(made.model)
    halo, lost = halo_of(made.model), -made.model.outputs[0].axes[1].size.offset
    network, edge = made.onnx, low + 2 * step
    image = draw(random, made.segmenter, (low + 11 * step, low + 9 * step))[np.newaxis]
    whole = network(image)[0]
    for top in range(0, image.shape[1] - edge + 1, 3 * step):
        for left in range(0, image.shape[2] - edge + 1, 4 * step):
            piece = network(image[:, top : top + edge, left : left + edge])[0]
            kept = slice(halo, edge - lost - halo)
            there = whole[top : top + edge - lost, left : left + edge - lost]
            np.testing.assert_allclose(piece[kept, kept], there[kept, kept], atol=TOLERANCE)


def test_a_halo_that_is_a_stride_smaller_would_not_do(random, plain):
    geometry = plain.settings.geometry
    edge, top = smallest_edge(geometry, 100), 40
    image = draw(random, plain, (edge + 2 * top, 40))[np.newaxis]
    whole = plain.runtime(image)[0, top : top + edge]
    piece = plain.runtime(image[:, top : top + edge])[0]
    changed = np.flatnonzero((np.abs(piece - whole) > 1e-7).any(axis=(1, 2)))
    reach = max(changed[changed < edge // 2].max() + 1, edge - changed[changed > edge // 2].min())
    assert geometry.margin - geometry.stride < reach <= geometry.margin


def test_images_of_floating_point_have_no_range(tmp_path, quick, random):
    segmenter = Segmenter(quick.runtime, quick.settings.model_copy(update={"dtype": "float32"}))
    image = random.uniform(-20, 300, (150, 170, 1)).astype("f4")
    window = choose_window(segmenter, {"a": lambda: image})
    BioimageioPackage(segmenter, window, PACKAGING).save(tmp_path / "a.zip")
    model = load(tmp_path / "a.zip", perform_io_checks=True)
    assert (model.inputs[0].dtype, model.inputs[0].data.range) == ("float32", (None, None))


@pytest.mark.parametrize("temperature", [1.0, 1.7])
def test_the_threshold_for_the_networks_output_decides_as_the_segmenter(
    tmp_path, quick, temperature
):
    segmenter = quick.with_postprocessing(Postprocessing(threshold=0.45, temperature=temperature))
    window = something_found(segmenter)
    BioimageioPackage(segmenter, window, PACKAGING).save(tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        config = yaml.safe_load(archive.read("rdf.yaml"))["config"]["unetflow"]
        with archive.open("test_output.npy") as member:
            output = np.load(member)[0, :, :, 0]
    assert config["temperature"] == temperature
    assert config["threshold"] == 0.45
    assert config["classes"] == segmenter.settings.classes
    certain = np.abs(output - config["network_threshold"]) > TOLERANCE
    expected = segmenter.predict(window) == 1
    np.testing.assert_array_equal(
        (output >= config["network_threshold"])[certain], expected[certain]
    )
    assert expected.any()


def test_the_cover_shows_what_has_an_output(made):
    with Image.open(made.folder / "cover.png") as cover:
        height, width = made.tensors[1].shape[1:3]
        assert cover.size == (width, height)
    assert (made.folder / "cover.png").stat().st_size < 500_000


def test_nothing_in_it_tells_of_the_machine(made):
    traces = [str(Path.home()), tempfile.gettempdir() + "/"]
    with zipfile.ZipFile(made.path) as archive:
        for name in archive.namelist():
            content = archive.read(name)
            assert not [trace for trace in traces if trace.encode() in content]
            assert archive.getinfo(name).date_time == (1980, 1, 1, 0, 0, 0)


def test_the_same_again_differs_in_the_time_that_keras_notes_alone(tmp_path, quick, window):
    paths = [tmp_path / "a.zip", tmp_path / "b.zip"]
    for path in paths:
        BioimageioPackage(quick, window, PACKAGING).save(path)
    with zipfile.ZipFile(paths[0]) as first, zipfile.ZipFile(paths[1]) as second:
        assert first.namelist() == second.namelist()
        same = {name for name in first.namelist() if first.read(name) == second.read(name)}
    # The description holds the digest of Keras's file.
    assert set(first.namelist()) - same <= {"segmenter.keras", "rdf.yaml"}


CARD = {
    "classes": ["class 0", "class 1"],
    "threshold": 0.45,
    "weights": 7717,
    "input": {"channels": 1, "dtype": "uint8"},
    "intended_use": "To find bright things.",
    "limits": ["It knows no dark things.", "Nor people."],
    "data": {"digest": "abc", "samples": {"train": 5, "test": 2}},
    "run": {"device": "a secret machine"},
}


@pytest.mark.parametrize(
    ("change", "taken"),
    [({}, True), ({"threshold": 0.46}, False), ({"weights": 7718}, False)],
)
def test_the_model_card_is_told_where_it_is_this_models(tmp_path, quick, window, change, taken):
    assert quick.model.count_params() == CARD["weights"]
    card = {**CARD, **change}
    BioimageioPackage(quick, window, PACKAGING, card).save(tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        text = archive.read("README.md").decode()
    told = ["To find bright things.", "- Nor people.", "5 for train, 2 for test", "`abc`"]
    assert [line in text for line in told] == [taken] * 4
    assert "secret" not in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"licence": "mine"}, r"packaging\.licence: 'mine' is no identifier of SPDX"),
        ({"name": "a/b/c"}, r"packaging\.name: bioimage\.io does not allow it"),
        (
            {"authors": [AuthorParameters(name="Ann", orcid="1")]},
            r"packaging\.authors\.0\.orcid: bioimage",
        ),
        ({"version": "the second"}, r"packaging\.version: bioimage\.io does not allow it"),
    ],
)
def test_what_the_format_forbids_is_named_and_the_old_file_kept(
    tmp_path, quick, window, change, message
):
    path = tmp_path / "a.zip"
    path.write_bytes(b"old")
    with pytest.raises(InputError, match=message):
        BioimageioPackage(quick, window, PACKAGING.model_copy(update=change)).save(path)
    assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]
    assert path.read_bytes() == b"old"


def test_a_missing_library_is_named(tmp_path, monkeypatch, plain):
    monkeypatch.setitem(sys.modules, "bioimageio.spec", None)
    with pytest.raises(InputError, match=r"bioimageio\.spec is not installed") as caught:
        BioimageioPackage(plain, np.zeros((112, 112, 1), "u1"), PACKAGING).save(tmp_path / "a.zip")
    assert "pip install 'unetflow[bioimageio]'" in caught.value.fix


def test_a_network_of_another_runtime_is_refused(tmp_path, plain, converted):
    segmenter = Segmenter(OnnxRuntime(converted), plain.settings)
    with pytest.raises(InputError, match="holds no Keras model"):
        BioimageioPackage(segmenter, np.zeros((112, 112, 1), "u1"), PACKAGING).save(
            tmp_path / "a.zip"
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("size", [(40, 300), (300, 150), (30, 20)])
def test_a_window_is_cut_out_of_the_image_or_mirrored_beyond_it(padding, size):
    segmenter = make_segmenter(seed=1, padding=padding)
    image = draw(np.random.default_rng(1), segmenter, size)
    window = choose_window(segmenter, {"a": lambda: image})
    geometry = segmenter.settings.geometry
    assert window.shape[0] == window.shape[1]
    assert geometry.fits(window.shape[0])
    assert window.shape[0] - 2 * (geometry.shrink + geometry.margin) >= 64
    if padding == "same" and min(size) >= window.shape[0]:
        views = np.lib.stride_tricks.sliding_window_view(image, window.shape)
        assert (views == window).all(axis=(-1, -2, -3)).any()
    assert set(np.unique(window)) <= set(np.unique(image))


def test_the_first_image_that_can_be_used_is_taken(random, plain):
    images = {
        "colour": np.zeros((200, 200, 3), "u1"),
        "deep": np.zeros((200, 200, 1), "u2"),
        "noise": draw(random, plain, (200, 200)),
    }
    found = choose_window(plain, {name: lambda i=i: i for name, i in images.items()})
    assert found.std() > 20
    del images["noise"]
    blind = plain.with_postprocessing(Postprocessing(threshold=1))
    images["empty"] = np.zeros((200, 200, 1), "u1")
    with pytest.raises(InputError, match="none of the 3 images") as caught:
        choose_window(blind, {name: lambda i=i: i for name, i in images.items()})
    assert "trained on 1 channels" in caught.value.problem
    assert "empty: the model finds nothing in it" in caught.value.problem
