"""The same finished model through other runtimes."""

import os
import subprocess
import sys
import zipfile
from importlib.util import find_spec

import keras
import numpy as np
import pytest

from tests.support.networks import (
    GREY,
    dice_slowly,
    draw,
    fit_settings,
    make_segmenter,
    randomise,
    square_samples,
    tiny_unet,
)
from tests.support.segmenter_settings import make_settings
from unetflow.augmentation.policy import Augmenter
from unetflow.core.errors import InputError
from unetflow.data.intensity import IntensityRange
from unetflow.inference import segmenter as segmenters
from unetflow.inference.ensemble import average_segmenters
from unetflow.inference.postprocessing import Postprocessing
from unetflow.inference.runtimes import onnx_runtime
from unetflow.inference.runtimes import runtime as runtimes
from unetflow.inference.runtimes.onnx_runtime import OnnxRuntime
from unetflow.inference.runtimes.runtime import Runtime, choose_runtime, start_runtime
from unetflow.inference.segmenter import Segmenter
from unetflow.inference.segmenter_files import Exported
from unetflow.models.unet import geometry_of, with_preprocessing
from unetflow.training.callbacks import TrainingListeners
from unetflow.training.fit import fit

pytestmark = pytest.mark.xdist_group("runtimes")  # one process converts the networks

OTHERS = ("openvino", "onnx")
TOLERANCE = 1e-5
SIZES = [(1, 1), (23, 9), (64, 64), (101, 139)]
"""Smaller than what the network can halve, than a tile, a tile, and several of them; odd sizes."""

SILENT = TrainingListeners(lambda epoch, logs: None, lambda batch: None)
SERVE = """
import sys
import numpy as np
from pathlib import Path
from unetflow.unet import Segmenter
segmenter = Segmenter.load(Path(sys.argv[1]))
np.save(sys.argv[3], segmenter.predict(np.load(sys.argv[2])))
print([name for name in ("keras", "tensorflow", "tf2onnx") if name in sys.modules])
"""


def undecided(probabilities, threshold):
    """Return where the decision hangs on less than the tolerance."""
    if threshold is None or probabilities.shape[-1] > 2:
        first, second = np.moveaxis(np.sort(probabilities, axis=-1)[:, :, :-3:-1], -1, 0)
        return first - second < 2 * TOLERANCE
    return np.abs(probabilities[:, :, -1] - threshold) < TOLERANCE


@pytest.fixture(scope="module")
def plain():
    return make_segmenter()


@pytest.fixture(scope="module")
def on_others(plain):
    """The same segmenter on the other runtimes: each conversion costs seconds."""
    return {runtime: plain.on_runtime(runtime) for runtime in OTHERS}


def assert_same_masks(segmenter, others, sizes, random):
    for size in sizes:
        image = draw(random, segmenter, size)
        expected = segmenter.predict_probabilities(image)
        certain = ~undecided(expected, segmenter.postprocessing.threshold)
        assert certain.mean() > 0.99 or size == (1, 1)
        for runtime, other in others.items():
            found = other.predict_probabilities(image)
            assert (other.runtime.name, found.dtype) == (runtime, np.float32)
            np.testing.assert_allclose(found, expected, atol=TOLERANCE, rtol=0)
            masks = other.postprocessing.apply(found), segmenter.postprocessing.apply(expected)
            np.testing.assert_array_equal(*(mask[certain] for mask in masks))
    assert expected.std() > 0.01


def test_every_runtime_gives_the_masks_of_keras(plain, on_others, random):
    assert_same_masks(plain, on_others, SIZES, random)


VARIANTS = [
    {"classes": 2, "dtype": "uint16", "padding": "valid", "normalisation": "none"},
    {"channels": 3, "normalisation": "group", "depth": 1, "dropout": 0.3, "up_activation": "relu"},
    {
        "channels": 3,
        "dtype": "uint16",
        "classes": 4,
        "normalisation": "instance",
        "padding": "valid",
        "tile": 80,
    },
]


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    VARIANTS,
    ids=lambda options: ",".join(f"{name}={value}" for name, value in options.items()),
)
def test_every_runtime_gives_the_masks_of_keras_for_networks_of_all_kinds(options, random):
    segmenter = make_segmenter(**options)
    others = {runtime: segmenter.on_runtime(runtime) for runtime in OTHERS}
    assert_same_masks(segmenter, others, [(23, 9), (101, 139)], random)


@pytest.fixture(scope="module")
def trained():
    """A segmenter that finds bright squares."""
    keras.utils.set_random_seed(0)
    unet = tiny_unet(base_filters=8, depth=2)
    many = square_samples(6, seed=1, size=32), square_samples(3, seed=2, size=32)
    table = fit(
        unet, *many, GREY, Augmenter([]), fit_settings(epochs=12, crops_per_image=4), SILENT, seed=3
    )
    assert table["val_dice"].max() > 0.9
    settings = make_settings(["a", "square"], 0.5, 1, "uint8", geometry_of(unet), 64)
    return Segmenter(with_preprocessing(unet, GREY), settings)


def speaks_bfloat16():
    import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@pytest.mark.skipif(not speaks_bfloat16(), reason="this processor does not support bfloat16")
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_in_bfloat16_at_most_one_pixel_of_a_thousand_differs(trained, dtype):
    if dtype == "uint16":  # the same images at 257 times the intensity
        wide = IntensityRange([0.0], [65_535.0])
        unet = trained.model.get_layer("U-Net")
        settings = make_settings(["a", "square"], 0.5, 1, "uint16", geometry_of(unet), 64)
        trained = Segmenter(with_preprocessing(unet, wide), settings)
    quick = trained.on_runtime("openvino", "bfloat16")
    assert quick.runtime.precision == "bfloat16"
    samples = square_samples(20, seed=7, size=90, square=30).values()
    images = [s.image if dtype == "uint8" else s.image.astype("u2") * 257 for s in samples]
    differs = [quick.predict(image) != trained.predict(image) for image in images]
    assert np.mean(differs) <= 0.001
    pairs = [(quick.predict_probabilities(i), trained.predict_probabilities(i)) for i in images]
    largest = max(np.abs(found - expected).max() for found, expected in pairs)
    assert TOLERANCE < largest < 0.2  # so it is another precision that is compared


@pytest.mark.slow
def test_in_int8_a_trained_network_finds_nearly_the_same(trained, tmp_path):
    path = tmp_path / "int8.zip"
    images = [sample.image for sample in square_samples(10, seed=8, size=90, square=30).values()]
    trained.export(path, "openvino", calibration=images)
    assert b'element_type="i8"' in zipfile.Path(path, "network.xml").read_bytes()
    quick = Segmenter.load(path)
    samples = list(square_samples(20, seed=7, size=90, square=30).values())
    dice = {
        name: np.mean([dice_slowly(s.label, one.predict(s.image)) for s in samples])
        for name, one in {"int8": quick, "float32": trained}.items()
    }
    assert dice["float32"] > 0.9
    assert abs(dice["int8"] - dice["float32"]) < 0.01


@pytest.mark.skipif(not speaks_bfloat16(), reason="this processor does not support bfloat16")
@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_bfloat16_sees_what_a_bright_background_leaves_of_an_image(kind, random):
    # Numbers around 50,000 are 256 apart in bfloat16: the whole range of this image.
    narrow = IntensityRange([50_000.0] * 3, [50_250.0] * 3)
    unet = randomise(tiny_unet(input_shape=(None, None, 3), depth=2, base_filters=4), seed=5)
    settings = make_settings(["a", "b"], 0.5, 3, "uint16", geometry_of(unet), 64)
    segmenter = Segmenter(with_preprocessing(unet, narrow), settings)
    images = [random.integers(50_000, 50_250, (64, 64, 3), np.uint16) for _ in range(3)]
    exported = segmenter.convert("openvino", images[1:] if kind == "int8" else None)
    exact, quick = (
        Segmenter.start(exported, precision).predict_probabilities(images[0])
        for precision in ("float32", "bfloat16")
    )
    assert exact.std() > 0.02
    assert np.abs(quick - exact).mean() < 0.005


@pytest.mark.skipif(not speaks_bfloat16(), reason="this processor does not support bfloat16")
def test_an_ensemble_is_computed_in_bfloat16(ensemble, ensemble_on_openvino, random):
    image = draw(random, ensemble, (50, 70))
    narrow = ensemble_on_openvino.on_runtime("openvino", "bfloat16")
    found = narrow.predict_probabilities(image)
    assert np.abs(found - ensemble.predict_probabilities(image)).max() < 0.03


@pytest.mark.skipif(not speaks_bfloat16(), reason="this processor does not support bfloat16")
def test_what_is_not_in_int8_may_be_in_bfloat16(trained, tmp_path):
    images = [sample.image for sample in square_samples(10, seed=8, size=90, square=30).values()]
    trained.export(tmp_path / "int8.zip", "openvino", calibration=images)
    both = Segmenter.load(tmp_path / "int8.zip", precision="bfloat16")
    differs = [both.predict(image) != trained.predict(image) for image in images]
    assert np.mean(differs) < 0.01


def quantise(segmenter, converted):
    random = np.random.default_rng(0)
    crops = [draw(random, segmenter, (64, 64)) for _ in range(3)]
    return Exported("openvino", converted.runtime.parts, segmenter.settings).quantised(crops)


@pytest.fixture(scope="module")
def quantised(plain, on_others):
    return quantise(plain, on_others["openvino"])


@pytest.fixture(scope="module")
def ensemble():
    members = [make_segmenter(seed=seed, depth=1, channels=2) for seed in (1, 2)]
    return average_segmenters(members)


@pytest.fixture(scope="module")
def ensemble_on_openvino(ensemble):
    return ensemble.on_runtime("openvino")


@pytest.mark.parametrize("members", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_the_convolutions_that_see_the_image_stay_in_float32(members, request):
    import openvino

    if members == 1:
        exported = request.getfixturevalue("quantised")
    else:
        both = map(request.getfixturevalue, ("ensemble", "ensemble_on_openvino"))
        exported = quantise(*both)
    parts, channels = exported.parts, exported.settings.channels
    network = openvino.Core().read_model(parts["network.xml"], parts["network.bin"])
    nodes = [n for n in network.get_ordered_ops() if n.get_type_name() == "Convolution"]
    in_float = [n for n in nodes if n.input_value(1).get_node().get_type_name() == "Constant"]
    assert len(in_float) == members
    assert {node.get_input_shape(1)[1] for node in in_float} == {channels}  # the image's
    assert len(nodes) > 3 * members


def test_without_images_nothing_is_quantised(plain, on_others, tmp_path, monkeypatch):
    parts = {name: other.runtime.parts for name, other in on_others.items()}
    monkeypatch.setattr(segmenters, "convert_network", lambda model, runtime: parts[runtime])
    with pytest.raises(InputError, match="there are no images"):
        plain.export(tmp_path / "int8.zip", "openvino", calibration=[])
    with pytest.raises(InputError, match="only OpenVINO is quantised"):
        plain.export(tmp_path / "int8.zip", "onnx", calibration=[])
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["openvino", "onnx"])
def test_an_ensemble_runs_on_other_runtimes(runtime, ensemble, ensemble_on_openvino, random):
    image = draw(random, ensemble, (41, 60))
    on_other = ensemble_on_openvino if runtime == "openvino" else ensemble.on_runtime(runtime)
    found = on_other.predict_probabilities(image)
    assert on_other.runtime.name == runtime
    np.testing.assert_allclose(found, ensemble.predict_probabilities(image), atol=TOLERANCE)


@pytest.mark.process
@pytest.mark.parametrize("runtime", OTHERS)
def test_an_exported_segmenter_decides_as_before_and_needs_no_keras(runtime, random, tmp_path):
    segmenter = make_segmenter().with_postprocessing(
        Postprocessing(threshold=0.6, temperature=1.4, min_object_size=5)
    )
    image = draw(random, segmenter, (70, 45))
    files = [tmp_path / name for name in (f"{runtime}.zip", "image.npy", "mask.npy")]
    segmenter.export(files[0], runtime)
    np.save(files[1], image)
    done = subprocess.run(
        [sys.executable, "-c", SERVE, *map(str, files)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.splitlines()[-1] == "[]"
    np.testing.assert_array_equal(np.load(files[2]), segmenter.predict(image))
    loaded = Segmenter.load(files[0])
    assert loaded.settings == segmenter.settings
    assert loaded.runtime.name == runtime
    assert loaded.on_runtime("auto") is loaded
    with pytest.raises(InputError, match="holds no Keras model"):
        loaded.save(tmp_path / "again.keras")


def test_a_keras_file_is_computed_by_the_runtime_that_is_asked_for(
    plain, on_others, tmp_path, monkeypatch
):
    parts = {name: other.runtime.parts for name, other in on_others.items()}
    monkeypatch.setattr(segmenters, "convert_network", lambda model, runtime: parts[runtime])
    path = tmp_path / "segmenter.keras"
    plain.save(path)
    asked = (None, "auto", *OTHERS)
    runtime_of = {runtime: Segmenter.load(path, runtime).runtime.name for runtime in asked}
    assert runtime_of.pop(None) == "keras"
    assert runtime_of == {"auto": "openvino", "openvino": "openvino", "onnx": "onnx"}


def test_auto_is_keras_where_openvino_is_missing_or_keras_has_a_gpu(monkeypatch):
    assert choose_runtime("auto") == "openvino"
    with monkeypatch.context() as patch:
        patch.setattr("unetflow.models.device.has_gpu", lambda: True)
        assert choose_runtime("auto") == "keras"
    monkeypatch.setattr(runtimes, "find_spec", lambda name: None)
    assert choose_runtime("auto") == "keras"
    with pytest.raises(InputError, match=r"OpenVINO is not installed.*unetflow\[serve\]"):
        choose_runtime("openvino")


@pytest.mark.parametrize(
    ("runtime", "precision", "said"),
    [
        ("tensorrt", "float32", "runtime: 'tensorrt' is unknown. Use one of auto, keras"),
        ("openvino", "float16", "precision: 'float16' is unknown"),
        ("onnx", "bfloat16", "precision: the runtime 'onnx' predicts in float32 only"),
        ("keras", "bfloat16", "precision: the runtime 'keras' predicts in float32 only"),
    ],
)
def test_what_no_runtime_can_do_is_refused(runtime, precision, said):
    with pytest.raises(InputError) as caught:
        choose_runtime(runtime, precision)
    assert str(caught.value).startswith(said)


def test_a_processor_without_bfloat16_is_named(monkeypatch):
    import openvino

    class Plain:
        def get_property(self, device, name):
            return ["FP32", "INT8"]

    monkeypatch.setattr(openvino, "Core", Plain)
    with pytest.raises(InputError, match="this processor does not support bfloat16"):
        start_runtime("openvino", {}, "bfloat16")


def test_a_squeeze_lost_in_the_conversion_to_onnx_is_put_back(monkeypatch, random):
    import onnx
    import tf2onnx.optimizer

    found, squeezed = [], onnx_runtime._with_squeezed_output
    monkeypatch.setattr(
        onnx_runtime, "_with_squeezed_output", lambda file: found.append(file) or squeezed(file)
    )
    optimizers = dict(tf2onnx.optimizer._get_optimizers())
    last = {"reshape_optimizer": optimizers.pop("reshape_optimizer")}
    monkeypatch.setattr(tf2onnx.optimizer, "_get_optimizers", lambda: optimizers | last)
    segmenter = make_segmenter(depth=1)
    runtime = segmenter.on_runtime("onnx").runtime
    files = (*found, runtime.parts["network.onnx"])
    outputs = [onnx.load_model_from_string(file).graph.output[0] for file in files]
    assert [len(output.type.tensor_type.shape.dim) for output in outputs] == [5, 4]
    assert runtime.outputs == 1
    batch = random.integers(0, 256, (3, 16, 24, 1), np.uint8)
    np.testing.assert_allclose(
        runtime(batch), segmenter.model(batch.astype("f4")), atol=TOLERANCE, strict=True
    )


@pytest.mark.parametrize("place", ["weights", "constant", "inner graph"])
def test_an_onnx_file_that_reads_other_files_is_refused(place):
    from onnx import TensorProto, helper

    elsewhere = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
    elsewhere.ClearField("float_data")
    elsewhere.data_location = TensorProto.EXTERNAL
    elsewhere.external_data.add(key="location", value="/etc/hostname")
    x, y, w = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in "xyw")
    condition = helper.make_tensor("c", TensorProto.BOOL, [], [True])
    constant = helper.make_node("Constant", [], ["w"], value=elsewhere)
    inner = helper.make_graph([constant], "inner", [], [w])
    nodes = {
        "weights": [],
        "constant": [constant],
        "inner graph": [helper.make_node("If", ["c"], ["w"], then_branch=inner, else_branch=inner)],
    }[place]
    add = helper.make_node("Add", ["x", "w"], ["y"])
    kept = [condition, *([elsewhere] if place == "weights" else [])]
    graph = helper.make_graph([*nodes, add], "g", [x], [y], kept)
    with pytest.raises(InputError, match="refers to other files that hold its weights"):
        OnnxRuntime({"network.onnx": helper.make_model(graph).SerializeToString()})


def test_a_runtime_is_a_predictor_of_one_batch(plain, on_others, random):
    batch = random.integers(0, 256, (3, 16, 24, 1), np.uint8)
    expected = plain.model(batch.astype("f4"))
    for segmenter in (plain, *on_others.values()):
        assert isinstance(segmenter.runtime, Runtime)
        found = segmenter.runtime(batch)
        assert (found.shape, found.dtype) == ((3, 16, 24, 1), np.float32)
        np.testing.assert_allclose(found, expected, atol=TOLERANCE)


def test_what_is_tested_here_is_installed():
    assert all(find_spec(name) for name in ("openvino", "onnxruntime", "tf2onnx"))


@pytest.mark.parametrize("padding", ["same", pytest.param("valid", marks=pytest.mark.slow)])
def test_transposed_convolutions_are_computed_in_whole_numbers(padding, request):
    import openvino

    if padding == "same":
        segmenter, exported = map(request.getfixturevalue, ("plain", "quantised"))
    else:
        segmenter = make_segmenter(padding=padding, tile=80)
        exported = quantise(segmenter, segmenter.on_runtime("openvino"))
    network = openvino.Core().read_model(
        exported.parts["network.xml"], exported.parts["network.bin"]
    )
    request = (
        openvino.Core()
        .compile_model(
            network, "CPU", {"PERF_COUNT": True, "INFERENCE_PRECISION_HINT": openvino.Type.f32}
        )
        .create_infer_request()
    )
    edge = segmenter.settings.geometry.fit(64)
    request.infer({0: np.zeros((1, edge, edge, 1), np.float32)})
    parts = [part for part in request.profiling_info if part.node_type.startswith("Convolution")]
    transposed = [part for part in parts if part.node_type == "ConvolutionBackpropData"]
    assert len(transposed) == 2
    kinds = [part.exec_type for part in parts]
    if not any("avx512" in kind or "amx" in kind for kind in kinds):
        pytest.skip(f"without AVX-512, OpenVINO computes these in floating point: {kinds}")
    assert all(part.exec_type.endswith("I8") for part in transposed)
