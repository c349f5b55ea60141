"""Convolutions in whole numbers of 8 bits, for OpenVINO."""

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
"""More of them change the measured ranges no further, and each is one prediction."""


def quantise(
    parts: Parts, images: Iterable[NDArray[np.generic]], geometry: Geometry, tile: int
) -> Parts:
    """Quantise a network after its training (NNCF's post-training quantisation).

    The network predicts windows of the images, and the ranges that its activations take become
    those of 8 bits. Labels are not needed.

    The first convolution stays in float32: it has few channels and so takes little time, but an
    image in 256 steps cost most of the Dice that was lost on DRIVE and DeepCrack. The ranges need
    not lie around 0, which suits transposed convolutions (NNCF's preset `MIXED`).

    Args:
        parts: What `convert_to_openvino` made.
        images: `(height, width, channels)` with raw intensities; a few typical ones are enough.
        geometry: Of the network.
        tile: Longest edge of a window in pixels, as it will predict.

    Returns:
        The network with its convolutions, but the first, in int8.

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
    """Return batches of one window, those that predicting the images would ask for."""
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
    os.environ.setdefault("NNCF_CI", "1")  # else each use is told to Intel
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
