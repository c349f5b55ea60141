"""The finished model: raw image in, mask of the same size out."""

import json
import zipfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from unetflow.imaging.calibration import apply_temperature
from unetflow.imaging.decision import remove_small_objects
from unetflow.imaging.errors import InputError
from unetflow.imaging.labels import Label
from unetflow.imaging.scores import decide
from unetflow.imaging.tiling import Geometry, Predictor, Probabilities, predict_tiled
from unetflow.imaging.training_range import TrainingRange, explain_unlikeness
from unetflow.unet.prediction import as_predictor
from unetflow.unet.storage import load_keras, save_keras

_MEMBER = "segmenter.json"
_LARGEST_MEMBER = 1_000_000


@dataclass(frozen=True)
class SegmenterSettings:
    """What turns a network's output into a mask.

    Attributes:
        classes: Names of the classes in the order of their labels.
        threshold: Of two classes, a pixel is foreground at or above this probability; None takes
            the most probable class.
        channels: Channels that an image must have.
        dtype: Type of the images that it was trained on, "uint8" or "uint16".
        geometry: What tiling must know of the network.
        tile: Longest edge of a window in pixels.
        temperature: What the network's logits are divided by, so that probabilities mean what they
            say; see `imaging.calibration`. 1, as in files that don't have it, leaves them as they
            are.
        minimum_object_size: Of two classes, pieces of the foreground with fewer pixels are
            removed; 0, as in files that don't have it, keeps all.
        seen: What the training images were like; None in files that don't have it.
    """

    classes: list[str]
    threshold: float | None
    channels: int
    dtype: str
    geometry: Geometry
    tile: int
    temperature: float = 1.0
    minimum_object_size: int = 0
    seen: TrainingRange | None = None


class Segmenter:
    """A trained U-Net with all that belongs to it.

    Args:
        model: From raw images `(batch, height, width, channels)` to class probabilities.
        settings: What turns those into a mask.

    Raises:
        InputError: The model does not fit the classes.

    Example:
        ```python
        segmenter = Segmenter.load(Path("data/06_models/segmenter.keras"))
        label = segmenter.predict(image)  # (height, width) uint8
        ```
    """

    def __init__(self, model: keras.Model, settings: SegmenterSettings) -> None:
        outputs, classes = model.output_shape[-1], len(settings.classes)
        if outputs != classes and (outputs, classes) != (1, 2):
            raise InputError(
                "segmenter",
                f"the model gives {outputs} probabilities for a pixel of {classes} classes",
                "Train the model again",
            )
        self.model = model
        self.settings = settings
        self._predictor: Predictor = as_predictor(model)

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
        return self.decide(self.predict_probabilities(image))

    def predict_probabilities(self, image: NDArray[np.generic]) -> Probabilities:
        """Return the calibrated probabilities of the classes for an image as above.

        They are `(height, width, classes)`, or `(height, width, 1)` where the network gives the
        foreground's alone.
        """
        if image.ndim == 2:
            image = image[:, :, np.newaxis]
        self.require_fitting(image.shape, image.dtype)
        found = predict_tiled(self._predictor, image, self.settings.geometry, self.settings.tile)
        return apply_temperature(found, self.settings.temperature)

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

    def explain_unlikeness(self, image: NDArray[np.generic]) -> str:
        """Tell in what an image is unlike the training images; empty where it is like them."""
        if self.settings.seen is None:
            return ""
        if image.ndim == 2:
            image = image[:, :, np.newaxis]
        return explain_unlikeness(image, self.settings.seen)

    def decide(self, probabilities: Probabilities) -> Label:
        """Turn calibrated probabilities into class indices, without objects that are too small."""
        label = decide(probabilities, self.settings.threshold)
        return remove_small_objects(label, self.settings.minimum_object_size)

    def with_decision(
        self, threshold: float | None, temperature: float = 1.0, minimum_object_size: int = 0
    ) -> "Segmenter":
        """Return a segmenter with the same model that decides otherwise."""
        return Segmenter(
            self.model,
            replace(
                self.settings,
                threshold=threshold,
                temperature=temperature,
                minimum_object_size=minimum_object_size,
            ),
        )

    def save(self, path: Path) -> None:
        """Write the model and its settings as one `.keras` file, in one step.

        Keras itself opens the file too and then sees the model alone.
        """

        def add_settings(temporary: Path) -> None:
            with zipfile.ZipFile(temporary, "a") as archive:
                archive.writestr(_MEMBER, json.dumps(asdict(self.settings), indent=2))

        save_keras(self.model, path, finish=add_settings)

    @classmethod
    def load(cls, path: Path) -> "Segmenter":
        """Read what `save` wrote, in Keras's safe mode.

        Raises:
            InputError: The file is missing or not a segmenter.
        """
        model = load_keras(path)
        return cls(model, _read_settings(path))


def _read_settings(path: Path) -> SegmenterSettings:
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(_MEMBER).file_size > _LARGEST_MEMBER:
                raise ValueError(f"{_MEMBER} is too large")
            settings: dict[str, Any] = json.loads(archive.read(_MEMBER))
        settings["geometry"] = Geometry(**settings["geometry"])
        if settings.get("seen") is not None:
            settings["seen"] = TrainingRange.from_dict(settings["seen"])
        return SegmenterSettings(**settings)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            path,
            f"it is a Keras model without the settings of a segmenter ({error})",
            "Use the file that the pipeline 'evaluation' writes",
        ) from error
