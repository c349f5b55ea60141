"""A finished segmenter to a package that other programs use."""

import logging
from collections.abc import Mapping
from typing import Any

from unetflow.config.packaging import PackagingParameters
from unetflow.config.validation import read_parameters
from unetflow.io.image_file import ImageFile
from unetflow.pipelines.types import BioimageioPackage, Segmenter

_log = logging.getLogger(__name__)


def package_model(
    segmenter: Segmenter,
    images: dict[str, ImageFile],
    model_card: dict[str, Any] | None,
    parameters: Mapping[str, Any],
) -> BioimageioPackage:
    """Put together what a package for bioimage.io is made of.

    Args:
        segmenter: The finished segmenter.
        images: By name; a part of the first in which the model finds something is what the
            package is tested with, and goes out with it.
        model_card: Of the latest training here, if there is one; used where it is this model's.
        parameters: `packaging`.

    Returns:
        The package, which is written when it is saved.

    Raises:
        InputError: No image can be used, or the model finds nothing in any.
    """
    from unetflow.inference.bioimageio.facts import PackageFacts
    from unetflow.inference.bioimageio.package import BioimageioPackage
    from unetflow.inference.bioimageio.sizes import choose_window

    settings = read_parameters(PackagingParameters, parameters, "packaging")
    if not settings.authors:
        _log.warning("The package names no author; bioimage.io takes it with packaging.authors")
    facts = PackageFacts(
        name=settings.name,
        description=settings.description,
        authors=[author.model_dump(exclude_none=True) for author in settings.authors],
        licence=settings.licence,
        tags=settings.tags,
        version=settings.version,
    )
    window = choose_window(segmenter, {name: image.read for name, image in images.items()})
    return BioimageioPackage(segmenter, window, facts, model_card)
