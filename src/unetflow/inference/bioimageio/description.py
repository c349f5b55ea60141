"""Description of a package, in the classes of bioimageio.spec."""

import re
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from unetflow import __version__
from unetflow.config.packaging import PackagingParameters
from unetflow.core.errors import InputError
from unetflow.core.hashing import sha256
from unetflow.inference.bioimageio.readme import summarise
from unetflow.inference.bioimageio.sizes import smallest_edge
from unetflow.inference.segmenter_settings import SegmenterSettings

DESCRIPTION = "rdf.yaml"
KERAS, ONNX = "segmenter.keras", "network.onnx"
README, COVER = "README.md", "cover.png"
TEST_INPUT, TEST_OUTPUT = "test_input.npy", "test_output.npy"

_PAPER = (
    "Ronneberger, Fischer and Brox: U-Net: Convolutional Networks for Biomedical Image "
    "Segmentation. MICCAI 2015"
)
_PAPER_DOI = "10.48550/arXiv.1505.04597"
_ROUNDING = {"relative_tolerance": 1e-3, "absolute_tolerance": 1e-4}
"""Tolerance of the output on another machine or in the other format."""


def name_outputs(settings: SegmenterSettings, outputs: int) -> list[str]:
    """Return the classes of a network's outputs; a single output is the foreground's."""
    return list(settings.classes[-outputs:])


def describe_package(
    folder: Path,
    packaging: PackagingParameters,
    settings: SegmenterSettings,
    outputs: int,
    parameters: int,
) -> Any:
    """Describe the files of a package.

    Args:
        folder: Folder of the files, which have the names of this module.
        packaging: What the user states about the model.
        settings: The settings of the segmenter.
        outputs: Probabilities that the network returns for each pixel.
        parameters: Number of the network's weights.

    Returns:
        A `bioimageio.spec.model.v0_5.ModelDescr`.

    Raises:
        InputError: The format does not allow one of the values.
    """
    from bioimageio.spec.model import v0_5
    from pydantic import ValidationError

    try:
        return v0_5.ModelDescr(
            name=packaging.name,
            description=packaging.description or summarise(settings),
            authors=[author.model_dump(exclude_none=True) for author in packaging.authors],
            cite=[v0_5.CiteEntry(text=_PAPER, doi=v0_5.Doi(_PAPER_DOI))],
            license=packaging.licence,
            tags=list(packaging.tags),
            version=packaging.version,
            documentation=_refer(folder / README),
            covers=[_refer(folder / COVER)],
            inputs=[_describe_input(folder, settings)],
            outputs=[_describe_output(folder, settings, outputs)],
            weights=_describe_weights(folder),
            config=_describe_config(settings, parameters),
        )
    except ValidationError as error:
        raise _explain(error, packaging) from error


def _refer(file: Path) -> Any:
    from bioimageio.spec.model import v0_5

    return v0_5.FileDescr(source=file, sha256=sha256(file))


def _describe_input(folder: Path, settings: SegmenterSettings) -> Any:
    from bioimageio.spec.model import v0_5

    geometry = settings.geometry
    size = v0_5.ParameterizedSize(min=smallest_edge(geometry), step=geometry.stride)
    channels = [f"channel {number + 1}" for number in range(settings.channels)]
    # Programs that follow the description read images of any type; the network takes float32.
    as_float = v0_5.EnsureDtypeDescr(kwargs=v0_5.EnsureDtypeKwargs(dtype="float32"))
    return v0_5.InputTensorDescr(
        id=v0_5.TensorId("raw_image"),
        description="Raw intensities; the network itself scales them",
        axes=[
            v0_5.BatchAxis(),
            *(
                v0_5.SpaceInputAxis(id=v0_5.AxisId(axis), size=size, concatenable=True)
                for axis in "yx"
            ),
            v0_5.ChannelAxis(channel_names=channels),
        ],
        data=v0_5.IntervalOrRatioDataDescr(type=settings.dtype, range=_range_of(settings.dtype)),
        preprocessing=[as_float],
        test_tensor=_refer(folder / TEST_INPUT),
    )


def _range_of(dtype: str) -> tuple[int | None, int | None]:
    """Return the lowest and the highest intensity of an integer type; others have none."""
    whole = np.issubdtype(dtype, np.integer)
    return (0, int(np.iinfo(dtype).max)) if whole else (None, None)


def _describe_output(folder: Path, settings: SegmenterSettings, outputs: int) -> Any:
    from bioimageio.spec.model import v0_5

    return v0_5.OutputTensorDescr(
        id=v0_5.TensorId("probabilities"),
        description="The network's probability of each class",
        axes=[
            v0_5.BatchAxis(),
            *(_output_axis(axis, settings) for axis in "yx"),
            v0_5.ChannelAxis(channel_names=name_outputs(settings, outputs)),
        ],
        data=v0_5.IntervalOrRatioDataDescr(type="float32", range=(0, 1)),
        test_tensor=_refer(folder / TEST_OUTPUT),
    )


def _output_axis(axis: str, settings: SegmenterSettings) -> Any:
    """Describe an axis with the shrinking of valid convolutions, or with the halo of others."""
    from bioimageio.spec.model import v0_5

    geometry = settings.geometry
    size = v0_5.SizeReference(
        tensor_id=v0_5.TensorId("raw_image"), axis_id=v0_5.AxisId(axis), offset=-2 * geometry.shrink
    )
    if geometry.margin:
        return v0_5.SpaceOutputAxisWithHalo(id=v0_5.AxisId(axis), size=size, halo=geometry.margin)
    return v0_5.SpaceOutputAxis(id=v0_5.AxisId(axis), size=size)


def _describe_weights(folder: Path) -> Any:
    import keras
    import onnx
    from bioimageio.spec.model import v0_5

    backend = keras.backend.backend()
    version = import_module(backend).__version__
    network = onnx.load(folder / ONNX)
    return v0_5.WeightsDescr(
        keras_v3=v0_5.KerasV3WeightsDescr(
            source=folder / KERAS,
            sha256=sha256(folder / KERAS),
            keras_version=v0_5.Version(keras.__version__),
            backend=(backend, v0_5.Version(version)),
        ),
        onnx=v0_5.OnnxWeightsDescr(
            source=folder / ONNX,
            sha256=sha256(folder / ONNX),
            opset_version=max(entry.version for entry in network.opset_import if not entry.domain),
            parent="keras_v3",
        ),
    )


def _describe_config(settings: SegmenterSettings, parameters: int) -> Any:
    """Describe the postprocessing, for which the format has no field.

    The format's own postprocessing would replace the probabilities, which are the only output that
    it allows for this network.
    """
    from bioimageio.spec.model import v0_5

    postprocessing = settings.postprocessing
    facts: dict[str, Any] = {
        "version": __version__,
        "classes": list(settings.classes),
        **postprocessing.model_dump(exclude={"objects"}),
        "geometry": asdict(settings.geometry),
    }
    own = postprocessing.network_threshold
    if own is not None:
        facts["network_threshold"] = own
    return v0_5.Config(
        bioimageio=v0_5.BioimageioConfig(
            architecture_type="U-Net",
            task="semantic segmentation",
            target_structure=list(settings.classes[1:]),
            model_parameter_count=parameters,
            reproducibility_tolerance=[v0_5.ReproducibilityTolerance(**_ROUNDING)],
        ),
        unetflow=facts,
    )


def _explain(error: Any, packaging: PackagingParameters) -> InputError:
    """Return the error of the first value that the format does not allow."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"][:3] if not re.search(r"\W", str(part)))
    if where.startswith("license"):
        return InputError(
            "packaging.licence",
            f"'{packaging.licence}' is no identifier of SPDX",
            "Give one of https://spdx.org/licenses, such as MIT or CC-BY-4.0",
        )
    return InputError(
        f"packaging.{where}",
        f"bioimage.io does not allow it ({first['msg']})",
        "Correct the parameter",
    )
