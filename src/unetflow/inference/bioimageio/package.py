"""Writer of packages: zip archives with a description, both networks and test tensors."""

import json
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError

from unetflow import __version__
from unetflow.augmentation.crops import mirrored_places
from unetflow.config.packaging import PackagingParameters
from unetflow.core.atomic import atomic_write
from unetflow.core.errors import InputError
from unetflow.core.geometry import Geometry
from unetflow.core.hashing import sha256
from unetflow.core.types import Probabilities
from unetflow.inference.bioimageio.documentation import render, summarise, write_readme
from unetflow.inference.runtimes.runtime import convert_network
from unetflow.inference.segmenter import Segmenter
from unetflow.visualization.overlays import PREDICTION_COLOUR, draw_label, to_picture

DESCRIPTION = "rdf.yaml"
_READABLE = 0o644 << 16
_TESTED = 64
"""Smallest edge in pixels of the test output without its halo."""


@dataclass(frozen=True)
class BioimageioPackage:
    """A model's package in bioimage.io's format 0.5.

    It holds the segmenter's `.keras` file, which `Segmenter.load` reads, the network as ONNX, and
    as test tensors an image and the output of Keras. No other machine is contacted.

    Attributes:
        segmenter: The finished segmenter, with a Keras model.
        window: The test image `(height, width, channels)`; see `choose_window`.
        packaging: What the user states about the model.
        model_card: Of the training, see `reporting.model_card.describe_model`; ignored if it is of
            another model.
    """

    segmenter: Segmenter
    window: NDArray[np.generic]
    packaging: PackagingParameters
    model_card: Mapping[str, Any] | None = None

    def save(self, path: Path) -> None:
        """Write the zip archive in one step.

        Raises:
            InputError: bioimageio.spec is not installed, the segmenter is computed by another
                runtime, or the format does not allow one of the values.
        """
        try:
            from bioimageio.spec import ValidationContext, get_package_content
            from bioimageio.spec.model.v0_5 import ModelDescr
        except ImportError as error:
            raise InputError(
                "packaging",
                f"bioimageio.spec is not installed ({error})",
                "Install it with `pip install 'unetflow[bioimageio]'`",
            ) from error

        model = self.segmenter.model
        # With checks of files the library would also ask GitHub whether an author is known there.
        with TemporaryDirectory() as name, ValidationContext(perform_io_checks=False):
            folder, batch = Path(name), self.window[np.newaxis]
            output = self.segmenter.runtime(batch)
            self.segmenter.save(folder / "segmenter.keras")
            (folder / "network.onnx").write_bytes(*convert_network(model, "onnx").values())
            np.save(folder / "test_input.npy", batch, allow_pickle=False)
            np.save(folder / "test_output.npy", output, allow_pickle=False)
            Image.fromarray(self._draw_cover(output[0])).save(folder / "cover.png")
            known = self.model_card if self._is_of_the_model_card() else None
            settings = self.segmenter.settings
            probabilities = self.segmenter.runtime.outputs - len(settings.object_outputs)
            names = settings.classes[-probabilities:]
            text = write_readme(self.packaging, self.segmenter.settings, names, known)
            (folder / "README.md").write_text(text, encoding="utf-8")
            try:
                described = ModelDescr(**self._describe(folder, names))
            except ValidationError as error:
                raise _explain(error, self.packaging) from error
            content = get_package_content(described, bioimageio_yaml_file_name=DESCRIPTION)
            with atomic_write(path) as temporary:
                _write_archive(temporary, content)

    def _draw_cover(self, output: Probabilities) -> NDArray[np.uint8]:
        """Draw the label over the part of the window that has an output."""
        settings, postprocessing = self.segmenter.settings, self.segmenter.postprocessing
        label = postprocessing.apply(self.segmenter.split_outputs(output).probabilities)
        cut = settings.geometry.shrink
        picture = to_picture(self.window[cut : cut + label.shape[0], cut : cut + label.shape[1]])
        return draw_label(picture, label, len(settings.classes), PREDICTION_COLOUR)

    def _is_of_the_model_card(self) -> bool:
        """Return whether the model card and the segmenter agree in everything that both state."""
        card, settings = self.model_card, self.segmenter.settings
        if card is None:
            return False
        own = {name: getattr(settings, name) for name in ("classes", "channels", "dtype")}
        own["threshold"] = settings.postprocessing.threshold
        own["weights"] = self.segmenter.model.count_params()
        return own == {name: {**card, **card["input"]}[name] for name in own}

    def _describe(self, folder: Path, names: Sequence[str]) -> dict[str, Any]:
        """Return the description as bioimageio.spec takes it, with the files of a folder."""
        import keras
        import onnx

        settings, network = self.segmenter.settings, onnx.load(folder / "network.onnx")
        postprocessing, backend = settings.postprocessing, keras.backend.backend()
        own = postprocessing.network_threshold
        whole = np.issubdtype(settings.dtype, np.integer)
        text = render(
            "rdf.yaml.j2",
            settings,
            file=partial(_refer, folder),
            names=names,
            channels=[f"channel {number + 1}" for number in range(settings.channels)],
            intensities=[0, int(np.iinfo(settings.dtype).max)] if whole else [None, None],
            smallest_edge=smallest_edge(settings.geometry),
            keras_version=keras.__version__,
            backend=backend,
            backend_version=import_module(backend).__version__,
            opset=max(entry.version for entry in network.opset_import if not entry.domain),
            parameters=self.segmenter.model.count_params(),
        )
        described: dict[str, Any] = yaml.safe_load(text)
        # The format has no field for this, and its own postprocessing would replace the
        # probabilities, which are the only output that it allows for this network.
        described["config"]["unetflow"] = {
            "version": __version__,
            "classes": settings.classes,
            "object_outputs": list(settings.object_outputs),
            **postprocessing.model_dump(exclude={"objects"}),
            "geometry": asdict(settings.geometry),
            **({} if own is None else {"network_threshold": own}),
        }
        packaging = self.packaging
        return described | {
            "name": packaging.name,
            "description": packaging.description or summarise(settings),
            "authors": [author.model_dump(exclude_none=True) for author in packaging.authors],
            "license": packaging.licence,
            "tags": packaging.tags,
            "version": packaging.version,
        }


def _refer(folder: Path, name: str) -> str:
    return f"source: {json.dumps(str(folder / name))}, sha256: {sha256(folder / name)}"


def _explain(error: ValidationError, packaging: PackagingParameters) -> InputError:
    """Return the error of the first value that the format does not allow."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"][:3] if not re.search(r"\W", str(part)))
    if where.startswith("license"):
        return InputError(
            "packaging.licence",
            f"'{packaging.licence}' is no identifier of SPDX",
            "Give one of https://spdx.org/licenses, such as MIT or CC-BY-4.0",
        )
    return InputError(
        f"packaging.{where}",
        f"bioimage.io does not allow it ({first['msg']})",
        "Correct the parameter",
    )


def _write_archive(path: Path, content: Mapping[str, Any]) -> None:
    """Write the description and the files that it names."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, part in content.items():
            if name == DESCRIPTION:
                data = yaml.safe_dump(part, sort_keys=False, allow_unicode=True).encode()
            else:
                data = Path(part.source).read_bytes()
            entry = zipfile.ZipInfo(name)  # without the time
            entry.external_attr = _READABLE
            archive.writestr(entry, data, zipfile.ZIP_DEFLATED)


def smallest_edge(geometry: Geometry, kept: int = 1) -> int:
    """Return the smallest input edge whose output has so many pixels outside the margin."""
    return geometry.fit(kept + 2 * (geometry.shrink + geometry.margin))


def choose_window(
    segmenter: Segmenter, images: Mapping[str, Callable[[], NDArray[np.generic]]]
) -> NDArray[np.generic]:
    """Cut a square out of the first image in which the segmenter finds something.

    The pixel with the highest probability of foreground is as close to its middle as the image's
    borders allow; where valid convolutions need context beyond them, the image is mirrored.

    Args:
        segmenter: The segmenter.
        images: Functions by name that read an image `(height, width, channels)`.

    Returns:
        `(edge, edge, channels)`, of the image's type and of an edge that the network takes.

    Raises:
        InputError: No image can be used, or nothing is found in any.
    """
    postprocessing, problems = segmenter.postprocessing, []
    for name, read in images.items():
        try:
            image = read()
            segmenter.require_fitting(image.shape, image.dtype)
        except InputError as error:
            problems.append(f"  {error}")
            continue
        window = _cut_around_foreground(segmenter, image)
        output = segmenter.runtime(window[np.newaxis])[0]
        if postprocessing.apply(segmenter.split_outputs(output).probabilities).any():
            return window
        problems.append(f"  {name}: the model finds nothing in it")
    listing = "\n".join(problems[:10])
    raise InputError(
        "images_to_segment",
        f"none of the {len(images)} images can be the test image of the package:\n{listing}\n",
        "Give images in which the model finds something, as in `--params images=FOLDER`",
    )


def _cut_around_foreground(segmenter: Segmenter, image: NDArray[np.generic]) -> NDArray[np.generic]:
    geometry = segmenter.settings.geometry
    edge = smallest_edge(geometry, _TESTED)
    found = segmenter.predict_probabilities(image)
    # A single probability is the foreground's, the first of several the background's.
    foreground = found[:, :, 0] if found.shape[2] == 1 else -found[:, :, 0]
    place = np.unravel_index(int(foreground.argmax()), foreground.shape)
    places = []
    for middle, length in zip(place, foreground.shape, strict=True):
        last = max(length + geometry.shrink - edge, -geometry.shrink)
        start = min(max(int(middle) - edge // 2, -geometry.shrink), last)
        places.append(mirrored_places(start, edge, length))
    return image[np.ix_(*places)]
