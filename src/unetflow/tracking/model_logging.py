"""Logging and registration of the finished segmenter as an MLflow model."""

from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.entities import Run

    from unetflow.inference.segmenter import Segmenter

_REQUIREMENTS = (
    "imagecodecs",
    "keras",
    "numpy",
    "pillow",
    "scikit-image",
    "scipy",
    "tensorflow",
    "tensorflow-cpu",
    "tifffile",
)


class LoggedModel:
    """The segmenter of one run: logged first, then registered and described.

    Each step may be called again after it has failed, and takes effect once.

    Args:
        uri: MLflow's address of the model; None: it has not been logged yet.
    """

    def __init__(self, uri: str | None = None) -> None:
        self._uri = uri
        self._version: str | None = None

    @classmethod
    def of_run(cls, run: "Run") -> "LoggedModel | None":
        """Return the last model that a run has logged; None: it has logged none."""
        import mlflow

        logged = mlflow.search_logged_models(
            [run.info.experiment_id],
            f"source_run_id = '{run.info.run_id}'",
            max_results=1,
            order_by=[{"field_name": "creation_timestamp", "ascending": False}],
            output_format="list",
        )
        return cls(logged[0].model_uri) if logged else None

    def log(self, path: Path, segmenter: "Segmenter") -> None:
        """Log the segmenter, whose file is at `path`, as a pyfunc model with its own code."""
        import mlflow
        import numpy as np
        from mlflow.models import ModelSignature
        from mlflow.types import DataType, ParamSchema, ParamSpec, Schema, TensorSpec

        from unetflow.tracking.pyfunc_model import RESULT, RESULTS

        settings = segmenter.settings
        array = f"(batch, height, width, {settings.channels}) {settings.dtype}"
        masks = TensorSpec(np.dtype(np.uint8), (-1, -1, -1))
        result = ParamSpec(RESULT, DataType.string, RESULTS[0])
        installed = [(name, list(distributions(name=name))) for name in _REQUIREMENTS]
        edge = settings.geometry.fit(2 * settings.geometry.shrink + 1)
        logged = mlflow.pyfunc.log_model(
            name="segmenter",
            loader_module="unetflow.tracking.pyfunc_model",
            data_path=str(path),
            code_paths=[str(Path(__file__).parent.parent)],
            # An input schema would allow either arrays or files; see `tracking.pyfunc_model`.
            signature=ModelSignature(outputs=Schema([masks]), params=ParamSchema([result])),
            metadata={
                "input": f"{array}, or in a column `image` files in base64, of any sizes",
                "output": "class indices: (batch, height, width) uint8, or PNG files in base64; "
                'with the parameter {"result": "objects"} the numbers of objects: uint32, or PNG '
                "files of 16 bits",
                "classes": settings.classes,
            },
            input_example=np.zeros((1, edge, edge, settings.channels), settings.dtype),
            pip_requirements=[f"{name}=={found[0].version}" for name, found in installed if found],
        )
        self._uri = logged.model_uri

    def register(self, name: str, description: str) -> None:
        """Register the model as a new version of a name, which has a description in Markdown."""
        import mlflow

        if self._uri is None:
            raise LookupError("the model itself has not been logged yet")
        if self._version is None:
            self._version = mlflow.register_model(self._uri, name).version
        mlflow.MlflowClient().update_model_version(name, self._version, description)
