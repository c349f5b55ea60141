"""The segmenter as an MLflow pyfunc model, loaded without any pickle.

It takes arrays, and image files in base64. An MLflow schema describes one or the other, and casts
JSON's numbers without a check; so the model has no input schema and checks its input itself. It has
a schema of parameters, since MLflow passes no parameter without one. MLflow leaves out parameters
that are not in the schema, and warns in its log.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST
from numpy.typing import NDArray

from unetflow.config.mask_export import ObjectParameters
from unetflow.core.errors import InputError
from unetflow.inference.segmenter import Segmenter
from unetflow.io.base64_images import decode_image, encode_numbers, restore_type

Numbers = NDArray[np.unsignedinteger]
"""Class indices, uint8, or the numbers of objects, uint32."""
RESULT = "result"
"""Name of the parameter that chooses one of `RESULTS`."""
RESULTS = ("classes", "objects")
"""What can be computed for an image, first what is computed without the parameter."""
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
    ) -> Numbers | list[str]:
        """Segment raw images.

        Args:
            model_input: `(batch, height, width, channels)` of the dtype that the network was
                trained on, or of int64 or float64 (numbers from JSON) with values that this dtype
                holds. Or texts: image files of any sizes in base64. Either may be the column
                `image` of a table.
            params: `{"result": "objects"}` for the numbers of objects, which are separated as in
                an export with the default of `mask_export.objects`; `{"result": "classes"}`, the
                default, for class indices.

        Returns:
            For an array, class indices `(batch, height, width)` uint8, or the numbers of objects,
            uint32: 1, 2, 3 ... in each image, 0 where there is none. For texts, one text each: a
            PNG file in base64 whose grey values these are, of 8 bits for class indices and 16 bits
            for objects.

        Raises:
            RefusedImages: An image does not fit the network, or there is none; an image has more
                objects than 16 bits can number; a parameter or its value is unknown.
        """
        try:
            wanted = _read_result(params or {})
            images = _take_column(model_input)
            if isinstance(images, np.ndarray) and images.dtype.kind not in "OSU":
                return self._segment_batch(images, wanted)
            return self._segment_files(np.ravel(np.asarray(images, object)).tolist(), wanted)
        except InputError as error:
            raise RefusedImages(str(error)) from error

    def _segment_batch(self, images: NDArray[np.generic], wanted: str) -> Numbers:
        if images.ndim != 4 or not images.size:
            raise InputError(f"an array of shape {images.shape}", "it holds no images", _FORMS)
        restored = restore_type("the array", images, self._segmenter.settings.dtype)
        return np.stack([self._segment(image, wanted) for image in restored])

    def _segment_files(self, texts: list[Any], wanted: str) -> list[str]:
        if not texts:
            raise InputError("the input", "it holds no images", _FORMS)
        masks = []
        for number, text in enumerate(texts, start=1):
            name = f"image {number} of {len(texts)}"
            if not isinstance(text, str):
                raise InputError(name, f"it is not a text but {type(text).__name__}", _FORMS)
            image = decode_image(name, text)
            try:
                masks.append(encode_numbers("its result", self._segment(image, wanted)))
            except InputError as error:
                raise InputError(f"{name}: {error.where}", error.problem, error.fix) from error
        return masks

    def _segment(self, image: NDArray[np.generic], wanted: str) -> Numbers:
        # A server calls from many threads; one image already uses all cores.
        with self._turn:
            if wanted == RESULTS[0]:
                return self._segmenter.predict(image)
            outputs = self._segmenter.predict_outputs(image)
        postprocessing = self._segmenter.postprocessing.with_objects(ObjectParameters())
        objects = postprocessing.segment(outputs).objects
        assert objects is not None  # noqa: S101 - there is a rule for objects
        return objects.numbers


def _read_result(params: Mapping[str, Any]) -> str:
    """Return the wanted one of `RESULTS`."""
    for name in params:
        if name != RESULT:
            raise InputError("params", f"there is no parameter '{name}'", f"Use '{RESULT}' alone")
    wanted = params.get(RESULT, RESULTS[0])
    if wanted not in RESULTS:
        raise InputError(
            f"params.{RESULT}", f"'{wanted}' is unknown", f"Use one of {', '.join(RESULTS)}"
        )
    return str(wanted)


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
