"""The registered model in processes of its own, which see of this project what it brings along."""

import base64
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import imagecodecs
import numpy as np
import pytest
import requests
import tifffile
from numpy.typing import NDArray
from packaging.requirements import Requirement
from PIL import Image

from tests.support.fresh_process import FreshProcess
from tests.support.model_server import ask, register, serve
from tests.support.networks import draw, make_segmenter
from unetflow.config.mask_export import ObjectParameters
from unetflow.inference.segmenter import Segmenter

KINDS = {"8 bits, colour": ("uint8", 3), "16 bits, grey": ("uint16", 1)}
OF_THE_FRESH_PROCESS = "16 bits, grey"

# one process starts each server once
pytestmark = [pytest.mark.process, pytest.mark.xdist_group("served")]


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)


class Served(NamedTuple):
    segmenter: Segmenter
    address: str


class Fresh(NamedTuple):
    segmenter: Segmenter
    process: FreshProcess
    registry: str
    folder: Path
    model: Path


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> Iterator[Fresh]:
    """A process with the packages that a model asks for, and without all else that is installed."""
    dtype, channels = KINDS[OF_THE_FRESH_PROCESS]
    segmenter = make_segmenter(dtype=dtype, channels=channels, instances="both")
    folder = tmp_path_factory.mktemp("fresh")
    registry, model = register(segmenter, folder, empty_mlflow)
    asked = (model / "requirements.txt").read_text().splitlines()
    _link_packages(asked, folder / "packages")
    with FreshProcess(folder, "-S", PYTHONPATH=str(folder / "packages")) as process:
        yield Fresh(segmenter, process, registry, folder, model)


@pytest.fixture(scope="module", params=KINDS)
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path
) -> Iterator[Served]:
    """A model that is the champion of a registry, and its server.

    The command serves one; the other one MLflow's server in the fresh process.
    """
    if request.param == OF_THE_FRESH_PROCESS:
        fresh = request.getfixturevalue("fresh")
        _, address = fresh.process.load(fresh.registry, [], fresh.folder)
        yield Served(fresh.segmenter, address)
        return
    dtype, channels = KINDS[request.param]
    segmenter = make_segmenter(dtype=dtype, channels=channels)
    folder = tmp_path_factory.mktemp("served")
    registry, _ = register(segmenter, folder, empty_mlflow)
    with serve("models:/unetflow@champion", folder, MLFLOW_TRACKING_URI=registry) as address:
        yield Served(segmenter, address)


def _in_base64(image: NDArray[Any], kind: str) -> str:
    if kind == "png":
        return base64.b64encode(imagecodecs.png_encode(image.squeeze())).decode()
    file = io.BytesIO()
    if kind == "tif":
        tifffile.imwrite(file, image.squeeze())
    else:
        Image.fromarray(image.squeeze()).save(file, kind)
    return base64.b64encode(file.getvalue()).decode()


def _masks(answer: requests.Response) -> list[NDArray[Any]]:
    assert answer.status_code == 200, answer.text
    return [imagecodecs.png_decode(base64.b64decode(t)) for t in answer.json()["predictions"]]


def test_files_of_several_sizes_give_their_masks(
    served: Served, random: np.random.Generator
) -> None:
    images = [draw(random, served.segmenter, size) for size in ((50, 61), (33, 90))]
    texts = [_in_base64(image, kind) for image, kind in zip(images, ("png", "tif"), strict=True)]
    expected = [served.segmenter.predict(image) for image in images]
    assert any(0 < mask.mean() < 1 for mask in expected)
    for content in (
        {"inputs": texts},
        {"dataframe_records": [{"image": text} for text in texts]},
        {"dataframe_split": {"columns": ["image"], "data": [[text] for text in texts]}},
    ):
        for mask, own in zip(_masks(ask(served.address, content)), expected, strict=True):
            np.testing.assert_array_equal(mask, own, strict=True)


def test_an_array_gives_an_array(served: Served, random: np.random.Generator) -> None:
    images = np.stack([draw(random, served.segmenter, (37, 52)) for _ in range(2)])
    answer = ask(served.address, {"inputs": images.tolist()})
    assert answer.status_code == 200, answer.text
    found = np.array(answer.json()["predictions"])
    assert found.shape == (2, 37, 52)
    for mask, image in zip(found, images, strict=True):
        np.testing.assert_array_equal(mask, served.segmenter.predict(image))


def test_objects_are_numbered_on_request(served: Served, random: np.random.Generator) -> None:
    image = draw(random, served.segmenter, (40, 55))
    rule = served.segmenter.postprocessing.with_objects(ObjectParameters())
    objects = rule.segment(served.segmenter.predict_outputs(image)).objects
    assert objects is not None
    assert objects.numbers.max() > 1
    asked = {"params": {"result": "objects"}}
    (in_file,) = _masks(ask(served.address, {"inputs": [_in_base64(image, "png")], **asked}))
    np.testing.assert_array_equal(in_file, objects.numbers.astype(np.uint16), strict=True)
    answer = ask(served.address, {"inputs": image[np.newaxis].tolist(), **asked})
    np.testing.assert_array_equal(answer.json()["predictions"], objects.numbers[np.newaxis])
    plain = ask(served.address, {"inputs": image[np.newaxis].tolist(), "params": {}})
    expected = served.segmenter.predict(image)
    np.testing.assert_array_equal(plain.json()["predictions"], expected[np.newaxis])


def test_a_jpeg_gives_the_mask_of_its_pixels(served: Served, random: np.random.Generator) -> None:
    if served.segmenter.settings.dtype != "uint8":
        pytest.skip("JPEG has 8 bits")
    text = _in_base64(draw(random, served.segmenter, (40, 40)), "jpeg")
    with Image.open(io.BytesIO(base64.b64decode(text))) as opened:
        expected = served.segmenter.predict(np.asarray(opened))
    np.testing.assert_array_equal(_masks(ask(served.address, {"inputs": [text]}))[0], expected)


def test_several_clients_at_once_get_their_own_masks(
    served: Served, random: np.random.Generator
) -> None:
    images = [draw(random, served.segmenter, (30 + number, 45)) for number in range(8)]
    contents = [{"inputs": [_in_base64(image, "png")]} for image in images]
    with ThreadPoolExecutor(4) as clients:
        answers = list(clients.map(lambda content: ask(served.address, content), contents))
    for answer, image in zip(answers, images, strict=True):
        np.testing.assert_array_equal(_masks(answer)[0], served.segmenter.predict(image))


def test_invalid_inputs_are_refused_and_the_server_continues(
    served: Served, random: np.random.Generator
) -> None:
    settings = served.segmenter.settings
    image = draw(random, served.segmenter, (9, 9))
    other = image[:, :, :2] if settings.channels > 1 else np.repeat(image, 2, axis=2)
    refused = {
        "its format is not known": {"inputs": [base64.b64encode(b"hello").decode()]},
        "cannot be decoded": {"inputs": [_in_base64(image, "png")[:80]]},
        f"trained on {settings.channels} channels": {"inputs": other[np.newaxis].tolist()},
        "such as 65536, are no": {"inputs": np.full((1, 5, 5, settings.channels), 65536).tolist()},
        "such as 0.5, are no": {"inputs": np.full((1, 5, 5, settings.channels), 0.5).tolist()},
        "its columns are picture": {"dataframe_records": [{"picture": "x"}]},
        "Use one of classes, objects": {"inputs": ["x"], "params": {"result": "cells"}},
        "inhomogeneous": {"inputs": [[[[1]], [[2], [3]]]]},
        "valid JSON": "{",
    }
    for message, content in refused.items():
        answer = ask(served.address, content)
        assert answer.status_code == 400
        assert message in answer.json()["message"]
        assert len(answer.text) < 400
        assert "Traceback" not in answer.text
    expected = served.segmenter.predict(image)
    text = _in_base64(image, "png")
    np.testing.assert_array_equal(_masks(ask(served.address, {"inputs": [text]}))[0], expected)


def test_a_fresh_process_needs_only_the_model_and_the_packages_that_it_asks_for(
    fresh: Fresh, random: np.random.Generator
) -> None:
    image = draw(random, fresh.segmenter, (21, 34))
    (mask,), _ = fresh.process.load(fresh.registry, [image], fresh.folder)
    assert fresh.process.code.is_relative_to(fresh.model / "code")
    np.testing.assert_array_equal(mask, fresh.segmenter.predict(image), strict=True)


def _link_packages(requirements: list[str], folder: Path) -> None:
    """Make a folder of the installed packages that pip would install for these."""
    folder.mkdir()
    done: set[str] = set()
    left = [Requirement(line).name for line in requirements]
    while left:
        try:
            package = metadata.distribution(left.pop())
        except metadata.PackageNotFoundError:  # for another system, say
            continue
        if package.name in done:
            continue
        done.add(package.name)
        for name in {file.parts[0] for file in package.files or ()} - {"..", "__pycache__"}:
            if not (folder / name).exists():
                (folder / name).symlink_to(package.locate_file(name))
        needed = map(Requirement, package.requires or ())
        left += [n.name for n in needed if n.marker is None or n.marker.evaluate({"extra": ""})]
