"""The pipeline `packaging`: chosen model and any images -> a package for bioimage.io."""

import logging
from typing import Any

from kedro.pipeline import Pipeline

from unetflow.config.packaging import PackagingParameters
from unetflow.io.image_file import ImageFile
from unetflow.pipelines.stage import BioimageioPackage, Segmenter, node, stage

_log = logging.getLogger(__name__)


def create_pipeline() -> Pipeline:
    """Wire the pipeline."""
    inputs = ["chosen_segmenter", "images_to_segment", "known_model_card", "params:packaging"]
    return stage("packaging", node(package_model, inputs, "bioimageio_package"))


def package_model(
    segmenter: Segmenter,
    images: dict[str, ImageFile],
    model_card: dict[str, Any] | None,
    packaging: PackagingParameters,
) -> BioimageioPackage:
    """Collect the content of a package for bioimage.io.

    Its test image is a part of the first image in which the model finds something. The card, of the
    latest training here, is used if it is this model's.

    Raises:
        InputError: No image can be used, or the model finds nothing in any.
    """
    from unetflow.inference.bioimageio.package import BioimageioPackage, choose_window

    if not packaging.authors:
        _log.warning("The package names no author; bioimage.io takes it with packaging.authors")
    window = choose_window(segmenter, {name: image.read for name, image in images.items()})
    return BioimageioPackage(segmenter, window, packaging, model_card)
