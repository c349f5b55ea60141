"""The segmenter as an MLflow pyfunc model, loaded without any pickle.

It takes arrays, and image files in base64. An MLflow schema describes one or the other, and casts
JSON's numbers without a check; so the model has no schema and checks its input itself.
"""

import json
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST
from numpy.typing import NDArray

from unetflow.core.errors import InputError
from unetflow.core.types import Label
from unetflow.inference.segmenter import Segmenter
from unetflow.io.base64_images import decode_image, encode_mask, restore_type

COLUMN = "image"
"""Name of the column of images where MLflow turns a request into a table."""

_FORMS = "Send an array (batch, height, width, channels), or a list of image files in base64"


class RefusedImages(MlflowException):
    """The request cannot be segmented; MLflow's server answers with status 400.

    Args:
        problem: What is wrong, and how to fix it.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(problem, error_code=BAD_REQUEST)
        self._problem = problem

    def serialize_as_json(self) -> str:
        """Return the answer's body; MLflow's own would repeat the whole request."""
        return json.dumps({"error_code": self.error_code, "message": self._problem})


class PyfuncSegmenter:
    """The object that MLflow calls.

    Args:
        segmenter: The finished segmenter.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter
        self._turn = Lock()

    def predict(
        self,
        model_input: NDArray[np.generic] | list[str] | dict[str, Any] | pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> NDArray[np.uint8] | list[str]:
        """Segment raw images.

        Args:
            model_input: `(batch, height, width, channels)` of the dtype that the network was
                trained on, or of int64 or float64 (numbers from JSON) with values that this dtype
                holds. Or texts: image files of any sizes in base64. Either may be the column
                `image` of a table.
            params: Not used; MLflow passes it.

        Returns:
            For an array, class indices `(batch, height, width)` uint8. For texts, one text each:
            a PNG file in base64 whose grey values are the class indices.

        Raises:
            RefusedImages: An image does not fit the network, or there is none.
        """
        try:
            images = _take_column(model_input)
            if isinstance(images, np.ndarray) and images.dtype.kind not in "OSU":
                return self._segment_batch(images)
            return self._segment_files(np.ravel(np.asarray(images, object)).tolist())
        except InputError as error:
            raise RefusedImages(str(error)) from error

    def _segment_batch(self, images: NDArray[np.generic]) -> NDArray[np.uint8]:
        if images.ndim != 4 or not images.size:
            raise InputError(f"an array of shape {images.shape}", "it holds no images", _FORMS)
        restored = restore_type("the array", images, self._segmenter.settings.dtype)
        return np.stack([self._segment(image) for image in restored])

    def _segment_files(self, texts: list[Any]) -> list[str]:
        if not texts:
            raise InputError("the input", "it holds no images", _FORMS)
        masks = []
        for number, text in enumerate(texts, start=1):
            name = f"image {number} of {len(texts)}"
            if not isinstance(text, str):
                raise InputError(name, f"it is not a text but {type(text).__name__}", _FORMS)
            image = decode_image(name, text)
            try:
                masks.append(encode_mask(self._segment(image)))
            except InputError as error:
                raise InputError(f"{name}: {error.where}", error.problem, error.fix) from error
        return masks

    def _segment(self, image: NDArray[np.generic]) -> Label:
        # A server calls from many threads; one image already uses all cores.
        with self._turn:
            return self._segmenter.predict(image)


def _take_column(model_input: Any) -> Any:
    if not isinstance(model_input, dict | pd.DataFrame):
        return model_input
    names = [str(name) for name in model_input]
    if names != [COLUMN]:
        found = ", ".join(names) or "none"
        fix = f"Give the images as the column '{COLUMN}' alone"
        raise InputError("the input", f"its columns are {found}", fix)
    return model_input[COLUMN]


def _load_pyfunc(data_path: str) -> PyfuncSegmenter:
    """Load the model; MLflow finds this function by its name."""
    return PyfuncSegmenter(Segmenter.load(Path(data_path)))
