"""The finished model: raw image in, label of the same size out."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from unetflow.config.mask_export import ObjectParameters
from unetflow.core.errors import InputError
from unetflow.core.types import Label, Predictor, Probabilities
from unetflow.data.intensity import describe_drift
from unetflow.inference.postprocessing import NetworkOutputs, Postprocessing, Segmentation
from unetflow.inference.runtimes.runtime import (
    Identity,
    KerasRuntime,
    Runtime,
    choose_runtime,
    convert_network,
    start_runtime,
)
from unetflow.inference.segmenter_files import (
    Exported,
    SegmenterSettings,
    complete_archive,
    read_own_settings,
)
from unetflow.inference.tta import average_views
from unetflow.instances.separation import seed_landscape
from unetflow.tiling.windows import predict_blended, predict_tiled

if TYPE_CHECKING:
    import keras

__all__ = ["Segmenter", "SegmenterSettings"]

_KERAS_SUFFIX = ".keras"


class Segmenter:
    """A trained U-Net with its settings.

    Args:
        model: From raw images `(batch, height, width, channels)` to class probabilities: a Keras
            model, or one of another runtime.
        settings: The settings.

    Raises:
        InputError: The number of outputs is not that of the classes.

    Example:
        ```python
        segmenter = Segmenter.load(Path("data/06_models/segmenter.keras"))
        label = segmenter.predict(image)  # (height, width) uint8
        ```
    """

    def __init__(self, model: "keras.Model | Runtime", settings: SegmenterSettings) -> None:
        self.runtime: Runtime = model if isinstance(model, Runtime) else KerasRuntime(model)
        self.settings = settings
        classes = len(settings.classes)
        outputs = self.runtime.outputs - len(settings.object_outputs)
        if outputs != classes and (outputs, classes) != (1, 2):
            raise InputError(
                "segmenter",
                f"the model gives {outputs} probabilities for a pixel of {classes} classes",
                "Train the model again",
            )

    @property
    def postprocessing(self) -> Postprocessing:
        """The step from calibrated probabilities to a label."""
        return self.settings.postprocessing

    @property
    def model(self) -> "keras.Model":
        """The Keras model; an `InputError` where another runtime computes the network."""
        if not isinstance(self.runtime, KerasRuntime):
            raise InputError(
                "segmenter",
                f"it is computed by '{self.runtime.name}' and holds no Keras model",
                "Load the `.keras` file with the runtime 'keras'",
            )
        return self.runtime.model

    def predict(self, image: NDArray[np.generic]) -> Label:
        """Return the class index of each pixel, `(height, width)` uint8.

        Args:
            image: `(height, width, channels)`, or `(height, width)` with one channel, with the
                intensities of its file.

        Raises:
            InputError: The channels or the type are not those of the training images.
        """
        return self.postprocessing.apply(self.predict_probabilities(image))

    def segment(self, image: NDArray[np.generic]) -> Segmentation:
        """Return probabilities, label, and the objects as an export separates them by default."""
        separating = self.postprocessing.with_objects(ObjectParameters())
        return separating.segment(self.predict_outputs(image))

    def predict_probabilities(
        self, image: NDArray[np.generic], *, views: int = 1, overlap: int | None = None
    ) -> Probabilities:
        """Return the calibrated probabilities of the classes, as in `NetworkOutputs`.

        Args:
            image: See `predict`.
            views: Number of the 8 flips and rotations of each window that are averaged.
            overlap: Pixels by which windows overlap and are blended, see
                `blending.predict_blended`; None joins them exactly.
        """
        return self.predict_outputs(image, views=views, overlap=overlap).probabilities

    def predict_outputs(
        self, image: NDArray[np.generic], *, views: int = 1, overlap: int | None = None
    ) -> NetworkOutputs:
        """Return all that the network computes; see `predict_probabilities`."""
        if image.ndim == 2:
            image = image[:, :, np.newaxis]
        self.require_fitting(image.shape, image.dtype)
        settings, predictor = self.settings, self.predictor(views)
        if overlap is None:
            found = predict_tiled(predictor, image, settings.geometry, settings.tile)
        else:
            found = predict_blended(predictor, image, settings.geometry, overlap, settings.tile)
        return self.split_outputs(found)

    def split_outputs(self, found: NDArray[np.float32]) -> NetworkOutputs:
        """Calibrate the probabilities among a network's outputs `(height, width, outputs)`."""
        names = self.settings.object_outputs
        classes = found.shape[2] - len(names)
        probabilities = self.postprocessing.calibrate(found[:, :, :classes])
        landscape = seed_landscape(found[:, :, classes:], names) if names else None
        return NetworkOutputs(probabilities, landscape)

    def predictor(self, views: int = 1) -> Predictor:
        """Return a function from windows to probabilities that are not calibrated yet."""
        return self.runtime if views == 1 else average_views(self.runtime, views)

    def require_fitting(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        """Raise an `InputError` unless channels and type are those of the training images."""
        if len(shape) != 3 or shape[2] != self.settings.channels:
            raise InputError(
                f"image of shape {shape}",
                f"the model was trained on {self.settings.channels} channels",
                f"Give it as (height, width, {self.settings.channels})",
            )
        if dtype != self.settings.dtype:
            raise InputError(
                f"image of type {dtype}",
                f"the model was trained on {self.settings.dtype} images, whose intensities differ",
                f"Give the image as it comes from the same source, in {self.settings.dtype}",
            )

    def describe_drift(
        self, image: NDArray[np.generic], shape: tuple[int, ...] | None = None
    ) -> str:
        """Describe how an image differs from the training images; see `data.intensity`."""
        seen = self.settings.seen
        return "" if seen is None else describe_drift(np.atleast_3d(image), seen, shape)

    def with_postprocessing(self, postprocessing: Postprocessing) -> Self:
        """Return a segmenter with the same network and another postprocessing."""
        changes = {"postprocessing": postprocessing}
        return type(self)(self.runtime, self.settings.model_copy(update=changes))

    def on_runtime(self, runtime: str, precision: str = "float32") -> Self:
        """Return the same segmenter, computed by another runtime.

        Masks differ only at pixels whose class depends on rounding. Converting the network takes
        some seconds; `export` stores the result.

        Args:
            runtime: See `choose_runtime`.
            precision: See `choose_runtime`.

        Raises:
            InputError: The runtime is not installed, or this segmenter holds no Keras model.
        """
        own = self.runtime.name
        kept = runtime == own or (runtime == "auto" and own != "keras")
        if kept and precision == self.runtime.precision:
            return self
        chosen = choose_runtime(runtime, precision)
        if chosen == own == "keras":
            return self
        parts = self.runtime.parts if chosen == own else None
        if parts is not None:
            return self.start(Exported(chosen, parts, self.settings), precision)
        # Two conversions of one network differ in their bytes, but not in what they compute.
        identity = {"converted": self.runtime.identity}
        return self.start(self.convert(chosen), precision, identity)

    def save(self, path: Path) -> None:
        """Write model and settings as one `.keras` file, in one step; Keras opens it, too."""
        from unetflow.models.keras_io import save_keras

        save_keras(self.model, path, finish=lambda file: complete_archive(file, self.settings))

    def export(
        self, path: Path, runtime: str, calibration: Iterable[NDArray[np.generic]] | None = None
    ) -> None:
        """Write what `convert` returns as one zip archive, whose suffix is not `.keras`."""
        if path.suffix == _KERAS_SUFFIX:
            raise InputError(
                path, "an export is for other runtimes than Keras", "Use `save` for a `.keras` file"
            )
        self.convert(runtime, calibration).write(path)

    def convert(
        self, runtime: str, calibration: Iterable[NDArray[np.generic]] | None = None
    ) -> Exported:
        """Convert the network for another runtime.

        Args:
            runtime: "openvino" or "onnx".
            calibration: Images for int8, see `Exported.quantised`; None keeps float32.

        Raises:
            InputError: The runtime is Keras or not installed, or `model` is missing.
        """
        chosen = choose_runtime(runtime)
        if chosen == "keras":
            raise InputError(
                "runtime",
                "an export is for other runtimes than Keras",
                "Use openvino or onnx, or `save` for a `.keras` file",
            )
        exported = Exported(chosen, convert_network(self.model, chosen), self.settings)
        return exported if calibration is None else exported.quantised(calibration)

    def serialise(self) -> "Callable[[], Segmenter]":
        """Return a picklable function that loads the segmenter in another process.

        It carries the bytes of the segmenter's file, which are checked as any such file is: nothing
        in them is run as code. A converted network is sent converted, so workers need no Keras.
        """
        parts = self.runtime.parts
        with TemporaryDirectory() as folder:
            if parts is None:
                path = Path(folder, f"segmenter{_KERAS_SUFFIX}")
                self.save(path)
            else:
                path = Path(folder, "segmenter.zip")
                Exported(self.runtime.name, parts, self.settings).write(path)
            return partial(_load_bytes, path.name, path.read_bytes(), self.runtime.precision)

    @classmethod
    def start(
        cls, exported: Exported, precision: str = "float32", identity: Identity | None = None
    ) -> Self:
        """Load a converted segmenter into its runtime; see `choose_runtime`, `start_runtime`."""
        chosen = choose_runtime(exported.runtime, precision)
        return cls(start_runtime(chosen, exported.parts, precision, identity), exported.settings)

    @classmethod
    def load(cls, path: Path, runtime: str | None = None, precision: str = "float32") -> Self:
        """Read a file of `save` or `export`; a `.keras` file in Keras's safe mode.

        Args:
            path: The file.
            runtime: None: the one that the file was written for. A `.keras` file can be loaded for
                any, see `on_runtime`; an exported file for its own.
            precision: "float32", or for OpenVINO "bfloat16".

        Raises:
            InputError: The file is missing, changed, no segmenter, or not for this runtime.
        """
        if path.suffix == _KERAS_SUFFIX:
            from unetflow.models.keras_io import load_keras

            settings = read_own_settings(path)
            return cls(load_keras(path), settings).on_runtime(runtime or "keras", precision)
        exported = Exported.read(path)
        if runtime not in (None, "auto", exported.runtime):
            raise InputError(
                path,
                f"it was exported for the runtime '{exported.runtime}', not for '{runtime}'",
                f"Leave the runtime out, or export the `.keras` file for '{runtime}'",
            )
        try:
            return cls.start(exported, precision)
        except InputError as error:
            raise InputError(path, f"{error.where}: {error.problem}", error.fix) from error


def _load_bytes(name: str, content: bytes, precision: str) -> Segmenter:
    """Load the content of a segmenter's file."""
    with TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(content)
        return Segmenter.load(path, precision=precision)
