"""Runtimes that are tried on images whose truth is known."""

from types import SimpleNamespace

import numpy as np
import pytest

from tests.support.networks import make_segmenter
from unetflow.config.optimisation import OptimisationParameters
from unetflow.core.errors import InputError
from unetflow.data.samples import Sample
from unetflow.inference import segmenter_files
from unetflow.inference.postprocessing import Segmentation
from unetflow.inference.runtimes import onnx_runtime, runtime_benchmark
from unetflow.inference.runtimes.runtime_benchmark import BenchmarkResult, benchmark_runtimes
from unetflow.inference.segmenter import Segmenter
from unetflow.inference.segmenter_files import Exported
from unetflow.instances.objects import Objects
from unetflow.metrics.pixels import ChargedDice

pytestmark = pytest.mark.xdist_group("runtime benchmark")  # one process converts the networks

SETTINGS = OptimisationParameters(calibration_crops=6, timed_images=2, rounds=2)
NAMES = ["keras", "openvino", "openvino_bfloat16", "openvino_int8", "onnx"]


class FixedMask:
    """A segmenter that finds one mask in each image that is not black."""

    settings = SimpleNamespace(classes=["background", "cell"])

    def __init__(self, mask, numbers=None):
        self._mask, self._numbers = mask, numbers
        self.postprocessing = SimpleNamespace(separates=numbers is not None)

    def segment(self, image):
        label = self._mask * image[0, 0, 0]
        numbers = label if self._numbers is None else self._numbers
        return Segmentation(None, label, Objects(numbers, np.ones(int(numbers.max()), np.uint8)))


def unknown(sample_id):
    """No sample numbers its objects."""


@pytest.fixture(scope="module")
def segmenter():
    return make_segmenter(depth=1)


@pytest.fixture(scope="module")
def exports(segmenter):
    """The same segmenter for other runtimes: each conversion costs seconds."""
    return {runtime: segmenter.convert(runtime) for runtime in ("openvino", "onnx")}


@pytest.fixture(scope="module")
def samples(segmenter):
    """Images whose truth is nearly what the segmenter finds, so that a worse one shows."""
    random = np.random.default_rng(0)
    made = {}
    for number in range(3):
        image = random.integers(0, 256, (70, 91, segmenter.settings.channels), np.uint8)
        truth = segmenter.predict(image)
        truth[:5] = 255
        truth[5:8] = 1
        made[f"image {number}"] = Sample(image, truth)
    return made


@pytest.mark.slow
def test_the_table_says_what_each_export_comes_to(segmenter, samples):
    table, kept = benchmark_runtimes(segmenter, samples, unknown, SETTINGS, seed=1)
    assert table["name"].tolist() == NAMES
    rows = table.set_index("name")
    assert rows.loc["keras", "kept"]
    assert rows.loc["keras", "speed_over_keras"] == 1
    assert set(kept) == {
        {"openvino_bfloat16": "openvino"}.get(name, name)
        for name in rows.index[rows["kept"]].drop("keras")
    }
    for name, exported in kept.items():
        again = Segmenter.start(exported)
        charged = ChargedDice()
        for sample in samples.values():
            charged.add_label(sample.label, again.predict(sample.image), 2)
        assert rows.loc[name, "dice"] == pytest.approx(charged.value, abs=1e-12)
        size = sum(map(len, exported.parts.values()))
        assert rows.loc[name, "megabytes"] == pytest.approx(size / 1e6)
    tried = rows[rows["dice"].notna()]
    assert np.allclose(tried["fall"], rows.loc["keras", "dice"] - tried["dice"], atol=1e-12)
    assert (tried["kept"] == (tried["fall"] <= SETTINGS.tolerance)).all()
    assert (tried["megapixels_per_second"] > 0).all()
    assert (rows["reason"].eq("") == rows["kept"]).all()
    assert rows.loc["openvino", "kept"]


@pytest.mark.slow
def test_a_runtime_that_spoils_the_masks_is_not_kept(segmenter, samples, exports, monkeypatch):
    spoilt = exports | {"onnx": make_segmenter(seed=99, depth=1).convert("onnx")}
    monkeypatch.setattr(Segmenter, "convert", lambda self, runtime: spoilt[runtime])
    table, kept = benchmark_runtimes(segmenter, samples, unknown, SETTINGS, seed=1)
    onnx = table.set_index("name").loc["onnx"]
    assert onnx["fall"] > SETTINGS.tolerance
    assert not onnx["kept"]
    assert "more than 0.002" in onnx["reason"]
    assert "onnx" not in kept
    assert "openvino" in kept


def test_a_runtime_that_is_missing_is_noted(segmenter, samples, monkeypatch):
    def refuse(*arguments):
        raise InputError("runtime", "it is not installed", "Install it")

    monkeypatch.setattr(onnx_runtime, "convert_to_onnx", refuse)
    monkeypatch.setattr(segmenter_files, "quantise", refuse)
    table, kept = benchmark_runtimes(segmenter, samples, unknown, SETTINGS, seed=1)
    rows = table.set_index("name")
    for name in ("onnx", "openvino_int8"):
        assert not rows.loc[name, "kept"]
        assert rows.loc[name, "reason"] == "it is not installed: Install it"
        assert np.isnan(rows.loc[name, "dice"])
    assert set(kept) == {"openvino"}


@pytest.mark.parametrize("finds", ["half", "nothing"])
def test_empty_images_do_not_hide_that_a_runtime_misses_what_there_is(finds):
    """Of 100 images, 70 are empty. Keras finds all of the foreground, the other less."""
    truth, empty = np.zeros((2, 8, 8), np.uint8)
    truth[2:6, 2:6] = 1
    part = truth * (finds == "half")
    part[:, 4:] = 0
    held = np.ones((8, 8, 1), np.uint8)
    samples = {f"held {n}": Sample(held, truth) for n in range(30)}
    samples |= {f"empty {n}": Sample(0 * held, empty) for n in range(70)}
    started = [
        (BenchmarkResult(name, name, "float32"), FixedMask(mask))
        for name, mask in (("keras", truth), ("onnx", part))
    ]
    settings = OptimisationParameters(tolerance=0.25)
    runtime_benchmark._measure_quality(started, samples, unknown, settings)
    (keras, _), (onnx, _) = started
    assert (keras.dice, keras.kept) == (1, True)
    assert onnx.dice == pytest.approx(2 / 3 if finds == "half" else 0)
    assert not onnx.kept
    # Over all images it would lose 0.1, or 0.3 where it finds nothing at all.
    assert onnx.fall == pytest.approx(1 / 3 if finds == "half" else 1)


def test_a_runtime_that_joins_objects_is_not_kept_although_its_masks_are_the_same():
    """Two objects touch each other, beside a third and a pixel that is ignored."""
    truth = np.zeros((8, 12), np.uint8)
    truth[2:6, 0:8], truth[2:6, 9:12], truth[0, 0] = 1, 1, 255
    numbers = np.zeros((8, 12), np.uint16)
    numbers[2:6, 0:4], numbers[2:6, 4:8], numbers[2:6, 9:12] = 70, 300, 2
    own = np.zeros((8, 12), np.uint32)
    own[2:6, 0:4], own[2:6, 4:8], own[2:6, 9:12], own[0, 0] = 1, 2, 3, 4
    joined = np.where(own == 2, 1, np.where(own == 3, 2, 0)).astype(np.uint32)
    joined[own == 1] = 1
    samples = {"a": Sample(np.ones((8, 12, 1), np.uint8), truth)}
    samples["empty"] = Sample(0 * samples["a"].image, 0 * truth)
    numbers_of = {"a": numbers, "empty": 0 * numbers}
    started = [
        (BenchmarkResult(name, name, "float32"), FixedMask((truth == 1).astype(np.uint8), found))
        for name, found in (("keras", own), ("same", own), ("joins", joined), ("blind", None))
    ]
    runtime_benchmark._measure_quality(started, samples, numbers_of.get, SETTINGS)
    results = {trial.name: trial for trial, _ in started}
    assert [trial.dice for trial in results.values()] == [1] * 4
    assert results["same"].object_f1 == 1
    assert results["same"].kept
    # One of 2 found objects matches one of 3 true ones. The two halves are below half of the other.
    assert results["joins"].object_f1 == pytest.approx(2 * 1 / (2 + 3))
    assert results["joins"].object_fall == pytest.approx(1 - 2 / 5)
    assert results["joins"].reason == "its F1 of objects falls by 0.6000, more than 0.01"
    assert not results["joins"].kept
    assert (results["blind"].object_f1, results["blind"].kept) == (None, True)


def test_without_foreground_nothing_is_compared(segmenter):
    empty = {"a": Sample(np.zeros((70, 91, 1), np.uint8), np.zeros((70, 91), np.uint8))}
    with pytest.raises(InputError, match="no validation image holds foreground"):
        benchmark_runtimes(segmenter, empty, unknown, SETTINGS, seed=1)


@pytest.mark.slow
def test_an_export_holds_no_keras_model_to_convert(exports, samples):
    started = Segmenter.start(exports["onnx"])
    with pytest.raises(InputError, match="holds no Keras model"):
        benchmark_runtimes(started, samples, unknown, SETTINGS, seed=1)


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_crops_come_from_all_images_and_fit_the_network(random, padding):
    segmenter = make_segmenter(depth=1, padding=padding, tile=80)
    images = {
        str(value): Sample(np.full((200, 300, 1), value, np.uint8), np.zeros((200, 300), np.uint8))
        for value in (10, 20, 30)
    }
    crops = runtime_benchmark._draw_crops(segmenter, images, 7, seed=3)
    assert [int(crop[0, 0, 0]) for crop in crops] == [10, 20, 30, 10, 20, 30, 10]
    geometry = segmenter.settings.geometry
    assert {crop.shape for crop in crops} == {(geometry.fit(80 + 2 * geometry.shrink),) * 2 + (1,)}


def test_bfloat16_starts_again_from_an_exported_file(exports, tmp_path, random):
    exports["openvino"].write(tmp_path / "openvino.zip")
    loaded = Segmenter.load(tmp_path / "openvino.zip")
    image = random.integers(0, 256, (64, 64, 1), np.uint8)
    try:
        narrow = loaded.on_runtime("auto", "bfloat16")
    except InputError as error:
        assert "does not support bfloat16" in error.problem  # noqa: PT017
        return
    assert narrow.runtime.precision == "bfloat16"
    exact = loaded.predict_probabilities(image)
    found = narrow.predict_probabilities(image)
    assert 0 < np.abs(found - exact).max() < 0.05
    assert isinstance(exports["openvino"], Exported)
