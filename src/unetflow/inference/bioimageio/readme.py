"""The README of a package: input, output and intended use of the model."""

from collections.abc import Mapping, Sequence
from typing import Any

from unetflow.config.packaging import PackagingParameters
from unetflow.core.geometry import Geometry
from unetflow.inference.segmenter_settings import SegmenterSettings

_VALIDATION = """\
Before you trust it on your own images, draw the masks of at least ten of them by hand, as diverse
as your images are, and compare them with the predicted masks: the Dice coefficient,
2 |A and B| / (|A| + |B|), of the area, and the numbers of objects that are found, missed and
invented. Inspect the worst images, not the mean alone."""


def summarise(settings: SegmenterSettings) -> str:
    """Return one sentence about the classes of a model."""
    found = " and ".join(settings.classes[1:]) or "nothing"
    return f"A U-Net that finds {found} in {settings.dtype} images, pixel by pixel."


def write_readme(
    packaging: PackagingParameters,
    settings: SegmenterSettings,
    output_names: Sequence[str],
    model_card: Mapping[str, Any] | None,
) -> str:
    """Write the package's documentation in Markdown.

    Args:
        packaging: What the user states about the model.
        settings: The settings of the segmenter.
        output_names: Classes of the network's outputs.
        model_card: Of the training, see `evaluation_report.describe_model`; None: unknown.
    """
    parts = [
        f"# {packaging.name}",
        packaging.description or summarise(settings),
        "## What goes in and what comes out",
        _describe_input(settings),
        _describe_output(settings.geometry, output_names),
        "## From probabilities to a mask",
        _describe_decision(settings),
        *_describe_use(model_card),
        "## Validation",
        _VALIDATION,
        "## Licence and citation",
        f"Licence: {packaging.licence}. The network is that of Ronneberger, Fischer and Brox "
        "(2015), arXiv 1505.04597.",
    ]
    return "\n\n".join(parts) + "\n"


def _describe_input(settings: SegmenterSettings) -> str:
    geometry = settings.geometry
    sizes = f"a multiple of {geometry.stride} pixels"
    if geometry.remainder:
        sizes = f"a multiple of {geometry.stride} pixels and {geometry.remainder} more"
    return (
        f"In: the raw intensities of a {settings.dtype} image of {settings.channels} channel(s), "
        "as its file holds them. Don't normalise them: the network's first layers scale them by "
        f"the range of the training images. Height and width are each {sizes}."
    )


def _describe_output(geometry: Geometry, names: Sequence[str]) -> str:
    text = f"Out: for each pixel the probability of {names[0]}."
    if len(names) > 1:
        text = f"Out: for each pixel the probabilities of {', '.join(names)}, which add up to 1."
    if geometry.shrink:
        text += (
            f" The output is {geometry.shrink} pixels smaller at each side, where the network has "
            "no context: mirror the image there."
        )
    if geometry.margin:
        text += (
            f" Where an image is cut into tiles, the outermost {geometry.margin} pixels of each "
            "tile's output, the halo, depend on the cut: take them from the next tile. At the "
            "border of the whole image the network pads with zeros; programs that pad otherwise "
            "get other probabilities there. With group or instance normalisation the whole tile "
            "depends on the cut a little."
        )
    return text


def _describe_decision(settings: SegmenterSettings) -> str:
    postprocessing = settings.postprocessing
    if postprocessing.threshold is None:
        return "The most probable class of each pixel is its class."
    text = (
        f"A pixel is {settings.classes[-1]} from a probability of `network_threshold` on, which "
        "stands under `config.unetflow` in `rdf.yaml`."
    )
    if postprocessing.temperature != 1:
        text += (
            " The probabilities mean what they say once their logits are divided by the "
            "`temperature` there; `threshold` is on that scale."
        )
    if postprocessing.min_object_size:
        text += f" Remove pieces of fewer than {postprocessing.min_object_size} pixels."
    return text


def _describe_use(model_card: Mapping[str, Any] | None) -> list[str]:
    if model_card is None:
        return []
    samples = model_card["data"]["samples"]
    numbers = ", ".join(f"{count} for {side}" for side, count in samples.items())
    return [
        "## Intended use",
        str(model_card["intended_use"]),
        "## Limits",
        "\n".join(f"- {limit}" for limit in model_card["limits"]),
        "## Training data",
        f"Images: {numbers}. Digest of the data: `{model_card['data']['digest']}`.",
    ]
