"""The finished model: raw image in, mask of the same size out."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from unetflow.core.errors import InputError
from unetflow.core.types import Label, Predictor, Probabilities
from unetflow.data.drift import describe_drift
from unetflow.inference.postprocessing import Postprocessing
from unetflow.inference.runtimes.keras_runtime import KerasRuntime
from unetflow.inference.runtimes.registry import choose_runtime, convert_network, start_runtime
from unetflow.inference.runtimes.runtime import Identity, Runtime
from unetflow.inference.segmenter_files import Exported, complete_archive, read_own_settings
from unetflow.inference.segmenter_settings import SegmenterSettings
from unetflow.tiling.blending import predict_blended
from unetflow.tiling.windows import predict_tiled

if TYPE_CHECKING:
    import keras

__all__ = ["Segmenter", "SegmenterSettings"]

_KERAS_SUFFIX = ".keras"


class Segmenter:
    """A trained U-Net with all that belongs to it.

    Args:
        model: From raw images `(batch, height, width, channels)` to class probabilities: a Keras
            model, or one that another runtime computes.
        settings: What turns those into a mask.

    Raises:
        InputError: The model does not fit the classes.

    Example:
        ```python
        segmenter = Segmenter.load(Path("data/06_models/segmenter.keras"))
        label = segmenter.predict(image)  # (height, width) uint8
        ```
    """

    def __init__(self, model: "keras.Model | Runtime", settings: SegmenterSettings) -> None:
        self.runtime: Runtime = model if isinstance(model, Runtime) else KerasRuntime(model)
        self.settings = settings
        outputs, classes = self.runtime.outputs, len(settings.classes)
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
        """The Keras model.

        Raises:
            InputError: Another runtime computes the network.
        """
        if not isinstance(self.runtime, KerasRuntime):
            raise InputError(
                "segmenter",
                f"it is computed by '{self.runtime.name}' and holds no Keras model",
                "Load the `.keras` file with the runtime 'keras'",
            )
        return self.runtime.model

    def predict(self, image: NDArray[np.generic]) -> Label:
        """Segment an image.

        Args:
            image: `(height, width, channels)`, or `(height, width)` where there is one channel,
                with the intensities that its file holds.

        Returns:
            `(height, width)` uint8, the class index of each pixel.

        Raises:
            InputError: The channels or the type are not what the network was trained on.
        """
        return self.postprocessing.apply(self.predict_probabilities(image))

    def predict_probabilities(
        self, image: NDArray[np.generic], *, views: int = 1, overlap: int | None = None
    ) -> Probabilities:
        """Return the calibrated probabilities of the classes for an image as above.

        Args:
            image: As above.
            views: Over how many of the 8 flips and turns of each window they are averaged.
            overlap: By how many pixels windows overlap that are blended into each other, see
                `blending.predict_blended`; None joins them exactly.

        Returns:
            `(height, width, classes)`, or `(height, width, 1)` where the network gives the
            foreground's alone.

        Raises:
            InputError: As above, or there are no so many views.
        """
        if image.ndim == 2:
            image = image[:, :, np.newaxis]
        self.require_fitting(image.shape, image.dtype)
        settings, predictor = self.settings, self.predictor(views)
        if overlap is None:
            found = predict_tiled(predictor, image, settings.geometry, settings.tile)
        else:
            found = predict_blended(predictor, image, settings.geometry, overlap, settings.tile)
        return settings.postprocessing.calibrate(found)

    def predictor(self, views: int = 1) -> Predictor:
        """Return what turns windows into probabilities, which are not calibrated yet.

        Args:
            views: As above.
        """
        if views == 1:
            return self.runtime
        from unetflow.inference.tta import average_views  # Pandas, which few need to wait for

        return average_views(self.runtime, views)

    def require_fitting(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        """Raise an `InputError` where an image is not what the network was trained on."""
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
        """Tell in what an image is unlike the training images; empty where it is like them.

        Args:
            image: As above.
            shape: Height and width of an image of which this is a sample; None: it is all.
        """
        if self.settings.seen is None:
            return ""
        if image.ndim == 2:
            image = image[:, :, np.newaxis]
        return describe_drift(image, self.settings.seen, shape)

    def with_postprocessing(self, postprocessing: Postprocessing) -> "Segmenter":
        """Return a segmenter with the same network and another postprocessing."""
        return Segmenter(
            self.runtime, self.settings.model_copy(update={"postprocessing": postprocessing})
        )

    def on_runtime(self, runtime: str, precision: str = "float32") -> "Segmenter":
        """Return the same segmenter, computed by another runtime.

        Its masks differ at pixels whose probability is that of the threshold but for rounding. To
        convert the network takes some seconds; `export` keeps the result.

        Args:
            runtime: "keras", "openvino" or "onnx"; "auto" as in `choose_runtime`.
            precision: "float32", or for OpenVINO "bfloat16".

        Raises:
            InputError: The runtime is not installed, or this segmenter holds no Keras model.
        """
        own = self.runtime.name
        settled = runtime == own or (runtime == "auto" and own != "keras")
        if settled and precision == self.runtime.precision:
            return self
        chosen = choose_runtime(runtime, precision)
        if chosen == own == "keras":
            return self
        known = self.runtime.parts if chosen == own else None
        if known is not None:
            return Segmenter.start(Exported(chosen, known, self.settings), precision)
        # Two conversions of one network differ in their bytes, but not in what they compute.
        identity = {"converted": self.runtime.identity}
        converted = Exported(chosen, convert_network(self.model, chosen), self.settings)
        return Segmenter.start(converted, precision, identity)

    def save(self, path: Path) -> None:
        """Write the model and its settings as one `.keras` file, in one step.

        Keras itself opens the file too and then sees the model alone.
        """
        from unetflow.models.keras_io import save_keras

        save_keras(self.model, path, finish=lambda file: complete_archive(file, self.settings))

    def export(
        self,
        path: Path,
        runtime: str,
        calibration: Iterable[NDArray[np.generic]] | None = None,
    ) -> None:
        """Write the network for another runtime and the settings as one file, in one step.

        It is a zip archive; inside, OpenVINO and other tools find the network in their own format.

        Args:
            path: The file, not ending in `.keras`.
            runtime: See `convert`.
            calibration: See `convert`.

        Raises:
            InputError: The name of the file is another one; and see `convert`.
        """
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
            calibration: See `Exported.quantised`; None: it stays in float32.

        Raises:
            InputError: The runtime is another one, this segmenter holds no Keras model, or what it
                takes is not installed.
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

    @classmethod
    def start(
        cls, exported: Exported, precision: str = "float32", identity: Identity | None = None
    ) -> "Segmenter":
        """Make what `convert` gave ready to predict.

        Args:
            exported: The converted segmenter.
            precision: "float32", or for OpenVINO "bfloat16".
            identity: See `Runtime`; None: the digests of the network's files.

        Raises:
            InputError: The runtime is not installed, or cannot compute it.
        """
        chosen = choose_runtime(exported.runtime, precision)
        runtime = start_runtime(chosen, exported.parts, precision, identity)
        return cls(runtime, exported.settings)

    @classmethod
    def load(
        cls, path: Path, runtime: str | None = None, precision: str = "float32"
    ) -> "Segmenter":
        """Read what `save` or `export` wrote; a `.keras` file in Keras's safe mode.

        Args:
            path: The file.
            runtime: What shall compute the network; None takes what the file was written for. A
                `.keras` file can be computed by all, see `on_runtime`; an exported one by its own.
            precision: "float32", or for OpenVINO "bfloat16".

        Raises:
            InputError: The file is missing, changed or not a segmenter, or the runtime cannot
                compute it.
        """
        if path.suffix != _KERAS_SUFFIX:
            return cls._load_exported(path, runtime, precision)
        from unetflow.models.keras_io import load_keras

        settings = read_own_settings(path)
        segmenter = cls(load_keras(path), settings)
        return segmenter.on_runtime(runtime or "keras", precision)

    @classmethod
    def _load_exported(cls, path: Path, runtime: str | None, precision: str) -> "Segmenter":
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
