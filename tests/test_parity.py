"""The same mask on all ways from an image to it: twenty images of each real data set."""

import base64
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.conftest import kedro_run, make_project
from tests.inference.test_runtimes import speaks_bfloat16
from tests.support.fresh_process import FreshProcess
from tests.support.mean_dice import mean_dice
from tests.support.model_server import ask, register
from tests.support.real_networks import RealSet, read_set, train
from unetflow.core.types import Label, Probabilities
from unetflow.inference.segmenter import Segmenter
from unetflow.inference.segmenter_files import Exported
from unetflow.io.formats.readers import read_mask

LEARNT = {"isbi2012": 0.7, "dsb2018": 0.7, "drive": 0.6, "deepcrack": 0.5, "camvid": 0.2}
"""Mean Dice on the twenty images that each small network reaches at least."""
TOLERANCE = 1e-5
pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif("UNET_REAL_DATA" not in os.environ, reason="needs UNET_REAL_DATA"),
]

Masks = list[Label]


@dataclass(frozen=True)
class Ways:
    """What became of the twenty images.

    Attributes:
        name: Of the data set.
        real: The data set.
        segmenter: The network, read from its file.
        converted: The network for OpenVINO, in float32.
        probabilities: Keras's own, for each image.
        masks: By the way on which they came, all in float32.
        folder: What was written.
    """

    name: str
    real: RealSet
    segmenter: Segmenter
    converted: Exported
    probabilities: list[Probabilities]
    masks: dict[str, Masks]
    folder: Path

    @property
    def expected(self) -> Masks:
        return self.masks["python"]

    def dice(self, masks: Masks) -> float:
        """Return the mean Dice of masks against the truth."""
        classes = len(self.real.classes)
        pairs = zip(self.real.truths, masks, strict=True)
        return float(np.mean([mean_dice(truth, mask, classes) for truth, mask in pairs]))


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FreshProcess]:
    """A process that knows nothing of this one, for all data sets: its imports take seconds."""
    with FreshProcess(tmp_path_factory.mktemp("fresh")) as process:
        yield process


@pytest.fixture(
    scope="module",
    params=[
        # In two processes: each spends seconds on imports, and on a process that loads the models.
        pytest.param(name, marks=pytest.mark.xdist_group(f"parity {number % 2}"))
        for number, name in enumerate(LEARNT)
    ],
)
def ways(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    empty_mlflow: Path,
    fresh: FreshProcess,
) -> Ways:
    """Train a network on a data set, and send the twenty images on all ways through it."""
    name = request.param
    folder = tmp_path_factory.mktemp(name)
    real = read_set(name)
    uri, _ = register(train(real), folder, empty_mlflow)
    segmenter = Segmenter.load(folder / "segmenter.keras")
    probabilities = [segmenter.predict_probabilities(image) for image in real.images]
    masks = {"python": [segmenter.postprocessing.apply(found) for found in probabilities]}
    converted = {runtime: segmenter.convert(runtime) for runtime in ("openvino", "onnx")}
    for runtime, network in converted.items():
        network.write(folder / f"{runtime}.zip")
        exported = Segmenter.load(folder / f"{runtime}.zip")
        masks[runtime] = [exported.predict(image) for image in real.images]
    masks["kedro run"] = _by_kedro(real, folder, empty_mlflow)
    masks["pyfunc"], address = fresh.load(uri, real.images, folder)
    masks["HTTP"] = _over_http(real, address)
    return Ways(name, real, segmenter, converted["openvino"], probabilities, masks, folder)


def _over_http(real: RealSet, address: str) -> Masks:
    texts = [base64.b64encode(data).decode() for _, data in real.files]
    answers = [ask(address, {"inputs": [text]}) for text in texts]
    as_array = ask(address, {"inputs": [real.images[0].tolist()]})
    masks = [
        imagecodecs.png_decode(base64.b64decode(answer.json()["predictions"][0]))
        for answer in answers
    ]
    np.testing.assert_array_equal(as_array.json()["predictions"][0], masks[0])
    return masks


def _by_kedro(real: RealSet, folder: Path, database: Path) -> Masks:
    images, project = folder / "images", folder / "project"
    images.mkdir()
    project.mkdir()
    make_project(project, database)
    for number, (suffix, data) in enumerate(real.files):
        (images / f"{number}{suffix}").write_bytes(data)
    params = f"images={images},output={folder / 'out'},segmenter={folder / 'segmenter.keras'}"
    result = kedro_run(project, "--pipelines", "inference", "--params", params)
    assert result.exit_code == 0, result.output
    masks = [read_mask(folder / f"out/labels/{n}.tif") for n in range(len(real.files))]
    return [mask.astype(np.uint8) for mask in masks]


def _undecided(probabilities: Probabilities, threshold: float | None) -> NDArray[np.bool_]:
    """Return where the decision hangs on no more than the tolerance."""
    if threshold is None:
        ordered = np.sort(probabilities, axis=2)
        return np.asarray(ordered[:, :, -1] - ordered[:, :, -2] <= TOLERANCE)
    return np.abs(probabilities[:, :, -1] - threshold) <= TOLERANCE


def _differing(found: Masks, expected: Masks) -> float:
    """Return the share of all pixels."""
    different = sum(int((a != b).sum()) for a, b in zip(found, expected, strict=True))
    return different / sum(mask.size for mask in expected)


def test_the_network_has_learned(ways: Ways) -> None:
    dice = ways.dice(ways.expected)
    print(f"{ways.name}: Dice {dice:.3f}")
    assert len(ways.expected) == 20
    assert len({mask.shape for mask in ways.expected}) >= (4 if ways.name == "dsb2018" else 1)
    assert dice > LEARNT[ways.name]


@pytest.mark.parametrize("way", ["kedro run", "pyfunc", "HTTP", "openvino", "onnx"])
def test_in_float32_all_ways_give_the_mask_that_python_gives(ways: Ways, way: str) -> None:
    found = ways.masks[way]
    print(f"{ways.name}, {way}: {_differing(found, ways.expected):.1e} of the pixels differ")
    for mask, expected, image in zip(found, ways.expected, ways.probabilities, strict=True):
        assert mask.shape == expected.shape
        certain = ~_undecided(image, ways.segmenter.postprocessing.threshold)
        np.testing.assert_array_equal(mask[certain], expected[certain])


@pytest.mark.skipif(not speaks_bfloat16(), reason="this processor does not support bfloat16")
def test_in_bfloat16_at_most_one_pixel_of_a_thousand_differs(ways: Ways) -> None:
    quick = Segmenter.load(ways.folder / "openvino.zip", precision="bfloat16")
    share = _differing([quick.predict(image) for image in ways.real.images], ways.expected)
    print(f"{ways.name}, bfloat16: {share:.2%} of the pixels differ")
    assert share <= 0.001


def test_in_int8_the_mean_dice_falls_by_at_most_0_002(ways: Ways) -> None:
    masks: dict[int, Label] = {}
    for scored, typical in _calibrations(ways.real):
        path = ways.folder / f"int8_{scored[0]}.zip"
        ways.converted.quantised(typical).write(path)
        quick = Segmenter.load(path)
        masks |= {number: quick.predict(ways.real.images[number]) for number in scored}
    dice = ways.dice([masks[number] for number in sorted(masks)])
    change = dice - ways.dice(ways.expected)
    print(f"{ways.name}, int8: Dice changes by {change:+.4f}")
    assert change >= -0.002


def _calibrations(real: RealSet) -> list[tuple[list[int], list[NDArray[np.generic]]]]:
    """Return which images are scored with what calibration, which never holds one of them."""
    everything = list(range(len(real.images)))
    if real.others:
        return [(everything, [described.sample.image for described in real.others])]
    return [
        (everything[start::2], real.images[1 - start :: 2][:8])  # each half calibrates the other
        for start in (0, 1)
    ]
