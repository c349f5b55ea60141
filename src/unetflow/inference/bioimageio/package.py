"""Writer of packages: zip archives with the description, both networks and test tensors."""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image

from unetflow.config.packaging import PackagingParameters
from unetflow.core.atomic import atomic_write
from unetflow.core.errors import InputError
from unetflow.core.types import Probabilities
from unetflow.inference.bioimageio.description import (
    COVER,
    DESCRIPTION,
    KERAS,
    ONNX,
    README,
    TEST_INPUT,
    TEST_OUTPUT,
    describe_package,
    name_outputs,
)
from unetflow.inference.bioimageio.readme import write_readme
from unetflow.inference.runtimes.registry import convert_network
from unetflow.inference.segmenter import Segmenter
from unetflow.visualization.overlays import PREDICTION_COLOUR, draw_label, to_picture

_READABLE = 0o644 << 16


@dataclass(frozen=True)
class BioimageioPackage:
    """The content of a package; see `write_bioimageio`."""

    segmenter: Segmenter
    window: NDArray[np.generic]
    packaging: PackagingParameters
    model_card: Mapping[str, Any] | None = None

    def save(self, path: Path) -> None:
        """Write the package in one step."""
        write_bioimageio(path, self.segmenter, self.window, self.packaging, self.model_card)


def write_bioimageio(
    path: Path,
    segmenter: Segmenter,
    window: NDArray[np.generic],
    packaging: PackagingParameters,
    model_card: Mapping[str, Any] | None = None,
) -> None:
    """Write a model's package in bioimage.io's format 0.5, in one step.

    It holds the segmenter's `.keras` file, which `Segmenter.load` reads, the network as ONNX, and
    as test tensors an image and the output of Keras. No other machine is contacted.

    Args:
        path: The zip archive.
        segmenter: The finished segmenter, with a Keras model.
        window: The test image `(height, width, channels)`; see `choose_window`.
        packaging: What the user states about the model.
        model_card: Of the training, see `reporting.model_card.describe_model`; ignored if it
            belongs to another model.

    Raises:
        InputError: bioimageio.spec is not installed, the segmenter is computed by another runtime,
            or the format does not allow one of the values.
    """
    try:
        from bioimageio.spec import ValidationContext, get_package_content
    except ImportError as error:
        raise InputError(
            "packaging",
            f"bioimageio.spec is not installed ({error})",
            "Install it with `pip install 'unetflow[bioimageio]'`",
        ) from error

    model, settings = segmenter.model, segmenter.settings
    # With checks of files the library would also ask GitHub whether an author is known there.
    with TemporaryDirectory() as name, ValidationContext(perform_io_checks=False):
        folder = Path(name)
        output = segmenter.runtime(window[np.newaxis])
        segmenter.save(folder / KERAS)
        (folder / ONNX).write_bytes(*convert_network(model, "onnx").values())
        np.save(folder / TEST_INPUT, window[np.newaxis], allow_pickle=False)
        np.save(folder / TEST_OUTPUT, output, allow_pickle=False)
        Image.fromarray(_draw_cover(segmenter, window, output[0])).save(folder / COVER)
        known = model_card if _is_of(model_card, segmenter) else None
        names = name_outputs(settings, segmenter.runtime.outputs)
        text = write_readme(packaging, settings, names, known)
        (folder / README).write_text(text, encoding="utf-8")
        described = describe_package(
            folder, packaging, settings, segmenter.runtime.outputs, model.count_params()
        )
        content = get_package_content(described, bioimageio_yaml_file_name=DESCRIPTION)
        with atomic_write(path) as temporary:
            _write_archive(temporary, content)


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


def _draw_cover(
    segmenter: Segmenter, window: NDArray[np.generic], output: Probabilities
) -> NDArray[np.uint8]:
    """Draw the label over the part of the window that has an output."""
    settings = segmenter.settings
    postprocessing = segmenter.postprocessing
    label = postprocessing.apply(postprocessing.calibrate(output))
    cut = settings.geometry.shrink
    picture = to_picture(window[cut : cut + label.shape[0], cut : cut + label.shape[1]])
    return draw_label(picture, label, len(settings.classes), PREDICTION_COLOUR)


def _is_of(model_card: Mapping[str, Any] | None, segmenter: Segmenter) -> bool:
    """Return whether a model card and a segmenter agree in everything that both state."""
    if model_card is None:
        return False
    settings = segmenter.settings
    stated = [model_card[name] for name in ("classes", "threshold", "weights")]
    stated += [model_card["input"][name] for name in ("channels", "dtype")]
    return stated == [
        settings.classes,
        settings.postprocessing.threshold,
        segmenter.model.count_params(),
        settings.channels,
        settings.dtype,
    ]
