"""The settings of a finished network, which are stored beside its weights."""

import json
import warnings
import zipfile
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from unetflow.core.geometry import Geometry
from unetflow.data.intensity import DriftReference
from unetflow.inference.postprocessing import Postprocessing

SETTINGS_MEMBER = "segmenter.json"
"""The member of a segmenter's file that holds its settings."""

_MAX_BYTES = 1_000_000

_RENAMED = {"minimum_object_size": "min_object_size"}
_FLAT = ("threshold", "temperature", *_RENAMED)
"""Fields of `Postprocessing` that earlier versions stored beside the others."""


class SegmenterSettings(BaseModel):
    """Everything about a finished network except its weights.

    Attributes:
        classes: Names of the classes in the order of their labels, the background first.
        channels: Channels that an image must have.
        dtype: Type of the images that the network was trained on, "uint8" or "uint16".
        geometry: What tiling needs to know about the network.
        tile: Longest edge of a window in pixels.
        postprocessing: How probabilities become a label.
        seen: Intensities and sizes of the training images; None in files that lack them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    classes: list[str]
    channels: int
    dtype: str
    geometry: Geometry
    tile: int
    postprocessing: Postprocessing
    seen: DriftReference | None = None


def write_settings(archive: zipfile.ZipFile, settings: SegmenterSettings) -> None:
    """Add the settings to a segmenter's file."""
    content = settings.model_dump(mode="json", exclude={"postprocessing": {"objects"}})
    archive.writestr(SETTINGS_MEMBER, json.dumps(content, indent=2))


def read_settings(archive: zipfile.ZipFile) -> SegmenterSettings:
    """Read what `write_settings` wrote, or an earlier version.

    Raises:
        KeyError: The file has no settings.
        ValueError: The settings are not valid.
    """
    if archive.getinfo(SETTINGS_MEMBER).file_size > _MAX_BYTES:
        raise ValueError(f"{SETTINGS_MEMBER} is too large")
    values = json.loads(archive.read(SETTINGS_MEMBER))
    if isinstance(values, dict) and "postprocessing" not in values:
        values = _nest_postprocessing(values)
    try:
        return SegmenterSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or SETTINGS_MEMBER
        raise ValueError(f"{where}: {first['msg']}") from error


def _nest_postprocessing(values: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of an earlier version in the present layout, with a warning."""
    flat = {name: values.pop(name) for name in _FLAT if name in values}
    for old, new in _RENAMED.items():
        if old in flat:
            flat[new] = flat.pop(old)
            warnings.warn(
                f"{SETTINGS_MEMBER}: '{old}' is now 'postprocessing.{new}'; save the segmenter "
                "again to store it under the new name",
                FutureWarning,
                stacklevel=2,
            )
    return {**values, "postprocessing": flat}
