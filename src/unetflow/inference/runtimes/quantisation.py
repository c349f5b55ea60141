"""Quantisation of OpenVINO networks to int8."""

import os
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from unetflow.core.errors import InputError
from unetflow.core.geometry import Geometry
from unetflow.core.types import Probabilities
from unetflow.inference.runtimes.exact_input import find_first_convolutions
from unetflow.inference.runtimes.runtime import Parts
from unetflow.tiling.windows import predict_tiled

_MOST_WINDOWS = 300
"""More windows do not change the measured ranges, and each takes a prediction."""


def quantise(
    parts: Parts, images: Iterable[NDArray[np.generic]], geometry: Geometry, tile: int
) -> Parts:
    """Quantise a trained network with NNCF's post-training quantisation.

    The network predicts windows of the images, which measures the ranges of its activations.

    The first convolution stays in float32: it has few channels and so takes little time, but an
    image in 256 steps caused most of the loss of Dice on DRIVE and DeepCrack. The ranges may be
    asymmetric, which suits transposed convolutions (NNCF's preset `MIXED`).

    Args:
        parts: The files of `convert_to_openvino`.
        images: `(height, width, channels)` with raw intensities; a few typical ones are enough.
        geometry: Of the network.
        tile: Longest edge of a window in pixels in predictions.

    Returns:
        The network with all convolutions but the first in int8.

    Raises:
        InputError: NNCF is not installed, or there are no images.
    """
    windows = _windows_of(images, geometry, tile)
    if not windows:
        raise InputError("calibration", "there are no images", "Give a few typical ones")
    nncf = _import_nncf()
    import openvino

    network = openvino.Core().read_model(parts["network.xml"], parts["network.bin"])
    first = find_first_convolutions(network)
    quantised = nncf.quantize(
        network,
        nncf.Dataset(windows),
        subset_size=len(windows),
        preset=nncf.QuantizationPreset.MIXED,
        ignored_scope=nncf.IgnoredScope(names=[node.get_friendly_name() for node in first]),
    )
    with TemporaryDirectory() as folder:
        written = Path(folder, "network.xml")
        openvino.save_model(quantised, written, compress_to_fp16=False)
        return {path.name: path.read_bytes() for path in (written, written.with_suffix(".bin"))}


def _windows_of(
    images: Iterable[NDArray[np.generic]], geometry: Geometry, tile: int
) -> list[NDArray[np.float32]]:
    """Return the windows of tiled predictions of the images, one in a batch."""
    windows: list[NDArray[np.float32]] = []

    def note(batch: NDArray[np.generic]) -> Probabilities:
        windows.append(batch.astype(np.float32))
        height, width = (edge - 2 * geometry.shrink for edge in batch.shape[1:3])
        return np.zeros((len(batch), height, width, 1), np.float32)

    for image in images:
        predict_tiled(note, image, geometry, tile)
        if len(windows) >= _MOST_WINDOWS:
            break
    return windows[:_MOST_WINDOWS]


def _import_nncf() -> ModuleType:
    os.environ.setdefault("NNCF_CI", "1")  # else each use is reported to Intel
    try:
        import nncf
    except ImportError as error:
        raise InputError(
            "calibration",
            f"NNCF is not installed ({error})",
            "Install it with `pip install 'unetflow[quantise]'`, or give no images",
        ) from error
    module: ModuleType = nncf
    return module
