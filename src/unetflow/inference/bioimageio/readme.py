"""The README of a package: input, output and intended use of the model."""

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from unetflow.config.packaging import PackagingParameters
from unetflow.inference.segmenter_settings import SegmenterSettings


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
        model_card: Of the training, see `reporting.model_card.describe_model`; None: unknown.
    """
    environment = Environment(
        loader=PackageLoader("unetflow.inference", "bioimageio"),
        autoescape=select_autoescape(),  # HTML only, and this is Markdown
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("readme.md.j2").render(
        packaging=packaging,
        summary=summarise(settings),
        settings=settings,
        geometry=settings.geometry,
        postprocessing=settings.postprocessing,
        outputs=output_names,
        model_card=model_card,
    )
