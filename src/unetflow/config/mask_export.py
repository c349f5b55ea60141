"""The parameters of `parameters_mask_export.yml`."""

from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from unetflow.config.base import Count, PositiveFinite, Strict
from unetflow.core.errors import InputError
from unetflow.core.symmetries import MAX_VIEWS


class ObjectParameters(Strict):
    """How objects are separated in masks; see `instances.objects`."""

    method: Literal["auto", "components", "watershed"] = "auto"
    """`components`: each connected piece of a class is an object; `watershed`: touching objects are
    separated, too, by one seed each; `auto`: as the model has learned it (see `model.instances`),
    or by a watershed that was fitted to numbered objects, or else components"""
    connectivity: Literal["edges", "corners"] = "corners"
    """across which pixels are connected: `edges`, or `corners` too"""
    min_distance: Count = 10
    """of two seeds of `watershed`, in pixels"""
    min_height: PositiveFinite = 2.0
    """of a seed of `watershed`: its distance from the object's outline, in pixels"""


class BackgroundParameters(Strict):
    """When a block is background by its intensities alone, and needs no prediction.

    One condition is enough; of several channels all must meet it.
    """

    min_deviation: PositiveFinite | None = None
    """standard deviation of the intensities below which it is"""
    min_range: PositiveFinite | None = None
    """distance of the percentiles 1 and 99 below which it is"""
    max_mean: float | None = None
    """mean above which it is, as where light shines through a slide"""

    @model_validator(mode="after")
    def _has_a_condition(self) -> Self:
        if self.min_deviation is self.min_range is self.max_mean is None:
            raise InputError(
                "mask_export.large.background",
                "it has no condition",
                "Give min_deviation, min_range or max_mean",
            )
        return self

    def is_background(self, pixels: NDArray[np.generic]) -> bool:
        """Return whether a block is background.

        Args:
            pixels: `(height, width, channels)`, the intensities of the file, without context.
        """
        flat = np.asarray(pixels, pixels.dtype).reshape(-1, pixels.shape[2])
        if self.min_deviation is not None and flat.std(axis=0).max() < self.min_deviation:
            return True
        if self.max_mean is not None and flat.mean(axis=0).min() > self.max_mean:
            return True
        if self.min_range is None:
            return False
        low, high = np.percentile(flat, (1.0, 99.0), axis=0)
        return bool((high - low).max() < self.min_range)


class LargeParameters(Strict):
    """Which images are segmented block by block; see `inference.blockwise`."""

    min_pixels: Count = 2**25
    """2^25, such as 5792 x 5792"""
    background: BackgroundParameters | None = None
    """null: all blocks are predicted. Or conditions on their intensities, as in `background:
    {max_mean: 230}`; a block that meets one is background:"""


class ExecutorParameters(Strict):
    """Where images, and the blocks of large ones, are computed; see `inference.executor`."""

    executor: Literal["local", "dask"] = "local"
    """`local`: in this process; `dask`: by workers of Dask (`pip install "unetflow[cluster]"`),
    with the same results. If a worker dies, the others compute its task again."""
    workers: Count | None = None
    """Processes that Dask starts on this machine, which share its cores; null: one for two cores,
    but at least two."""
    scheduler: Annotated[str, Field(pattern=r"^[a-z]+://.+")] | None = None
    """null: workers of this machine. Or the address of your own scheduler, such as tcp://host:8786.
    Its workers need this environment, and large images under the same paths."""

    @model_validator(mode="after")
    def _one_kind_of_workers(self) -> Self:
        given = [name for name in ("workers", "scheduler") if getattr(self, name) is not None]
        if self.executor == "local" and given:
            raise ValueError(
                f"{given[0]} is for the executor 'dask', and it is 'local'; set executor to dask, "
                f"or {given[0]} to null"
            )
        if len(given) > 1:
            raise ValueError(
                "workers are processes that Dask starts on this machine, and a scheduler has its "
                "own; set one of them to null"
            )
        return self


class MaskExportParameters(ExecutorParameters):
    """The stage `mask_export`: what is computed of each image, and by which runtime."""

    runtime: Literal["auto", "keras", "openvino", "onnx"] = "auto"
    """Computes the network: `keras`, `openvino`, `onnx`, or `auto` for OpenVINO where it is
    installed (`pip install "unetflow[serve]"`) and there is no GPU, else Keras. Masks differ only
    at pixels whose class depends on rounding."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """or bfloat16, with OpenVINO: faster on some processors, few pixels differ"""
    probabilities: bool = False
    """true: also the probabilities of each image, as a float32 TIFF"""
    views: Annotated[int, Field(ge=1, le=MAX_VIEWS)] = 1
    """Test-time augmentation: flips and right-angle rotations of each window whose probabilities
    are averaged, up to 8. The time grows with them."""
    blended_overlap: Annotated[float, Field(ge=0, le=0.5)] | None = None
    """null: windows overlap by the reach of the network and join exactly. Or the fraction of a
    window, such as 0.125, by which they overlap and are blended: faster, but not exact; the log
    reports the error."""
    objects: ObjectParameters | None = ObjectParameters()
    """null: masks alone. Else single objects, too:"""
    object_numbers: bool = False
    """true: the number of each object is written into the overlay, except for images that are
    segmented block by block"""
    large: LargeParameters = LargeParameters()
    """TIFF files of at least min_pixels, and Zarr folders, are segmented block by block in bounded
    memory, and resumed after an interruption. They get labels, objects, probabilities on request,
    and a reduced overlay."""

    @model_validator(mode="after")
    def _numbers_need_objects(self) -> Self:
        if self.object_numbers and self.objects is None:
            raise ValueError(
                "object_numbers are of objects, and objects is null; set object_numbers to false, "
                "or give objects"
            )
        return self
