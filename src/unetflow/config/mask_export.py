"""The parameters of `parameters_mask_export.yml`."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from unetflow.config.background import BackgroundParameters, Positive
from unetflow.config.validation import Count, Strict
from unetflow.core.symmetries import MAX_VIEWS


class ObjectParameters(Strict):
    """How objects are separated in masks; see `instances.extraction`."""

    method: Literal["components", "watershed"] = Field(
        default="components",
        description="`components`: each connected piece of a class is an object; `watershed`: "
        "touching objects are separated, too, by one seed each",
    )
    connectivity: Literal["edges", "corners"] = Field(
        default="corners",
        description="across which pixels are connected: `edges`, or `corners` too",
    )
    min_distance: Count = Field(default=10, description="of two seeds, in pixels")
    min_height: Positive = Field(
        default=2.0, description="of a seed: its distance from the object's outline, in pixels"
    )


class LargeParameters(Strict):
    """Which images are segmented block by block; see `inference.blockwise`."""

    min_pixels: Count = Field(default=2**25, description="2^25, such as 5792 x 5792")
    background: BackgroundParameters | None = Field(
        default=None,
        description="null: all blocks are predicted. Or conditions on their intensities, as in "
        "`background: {max_mean: 230}`; a block that meets one is background:",
    )


class ExecutorParameters(Strict):
    """Where images, and the blocks of large ones, are computed; see `inference.executor`."""

    executor: Literal["local", "dask"] = Field(
        default="local",
        description="`local`: in this process; `dask`: by workers of Dask (`pip install "
        '"unetflow[cluster]"`), with the same results. If a worker dies, the others compute its '
        "task again.",
    )
    workers: Count | None = Field(
        default=None,
        description="Processes that Dask starts on this machine, which share its cores; null: one "
        "for two cores, but at least two.",
    )
    scheduler: Annotated[str, Field(pattern=r"^[a-z]+://.+")] | None = Field(
        default=None,
        description="null: workers of this machine. Or the address of your own scheduler, such as "
        "tcp://host:8786. Its workers need this environment, and large images under the same "
        "paths.",
    )

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

    runtime: Literal["auto", "keras", "openvino", "onnx"] = Field(
        default="auto",
        description="Computes the network: `keras`, `openvino`, `onnx`, or `auto` for OpenVINO "
        'where it is installed (`pip install "unetflow[serve]"`) and there is no GPU, else Keras. '
        "Masks differ only at pixels whose class depends on rounding.",
    )
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32",
        description="or bfloat16, with OpenVINO: faster on some processors, few pixels differ",
    )
    probabilities: bool = Field(
        default=False, description="true: also the probabilities of each image, as a float32 TIFF"
    )
    views: Annotated[int, Field(ge=1, le=MAX_VIEWS)] = Field(
        default=1,
        description="Test-time augmentation: flips and right-angle rotations of each window whose "
        "probabilities are averaged, up to 8. The time grows with them.",
    )
    blended_overlap: Annotated[float, Field(ge=0, le=0.5)] | None = Field(
        default=None,
        description="null: windows overlap by the reach of the network and join exactly. Or the "
        "fraction of a window, such as 0.125, by which they overlap and are blended: faster, but "
        "not exact; the log reports the error.",
    )
    objects: ObjectParameters | None = Field(
        default=ObjectParameters(), description="null: masks alone. Else single objects, too:"
    )
    large: LargeParameters = Field(
        default=LargeParameters(),
        description="TIFF files of at least min_pixels, and Zarr folders, are segmented block by "
        "block in bounded memory, and resumed after an interruption. They get labels, "
        "probabilities on request, and a reduced overlay.",
    )
