"""What belongs to a finished network beside its weights."""

import json
import zipfile
from dataclasses import asdict, dataclass

from pydantic import ConfigDict, TypeAdapter, ValidationError

from unetflow.core.geometry import Geometry
from unetflow.data.drift import DriftReference

SETTINGS_MEMBER = "segmenter.json"
"""The member of a segmenter's file that holds its settings."""

_LARGEST_MEMBER = 1_000_000


@dataclass(frozen=True)
class SegmenterSettings:
    """What turns a network's output into a mask.

    Attributes:
        classes: Names of the classes in the order of their labels.
        threshold: Of two classes, a pixel is foreground at or above this probability; None takes
            the most probable class.
        channels: Channels that an image must have.
        dtype: Type of the images that it was trained on, "uint8" or "uint16".
        geometry: What tiling must know of the network.
        tile: Longest edge of a window in pixels.
        temperature: What the network's logits are divided by, so that probabilities mean what they
            say; see `evaluation.calibration`. 1, as in files without it, leaves them as they are.
        minimum_object_size: Of two classes, pieces of the foreground with fewer pixels are
            removed; 0, as in files that don't have it, keeps all.
        seen: What the training images were like; None in files that don't have it.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    classes: list[str]
    threshold: float | None
    channels: int
    dtype: str
    geometry: Geometry
    tile: int
    temperature: float = 1.0
    minimum_object_size: int = 0
    seen: DriftReference | None = None


_CHECKED: TypeAdapter[SegmenterSettings] = TypeAdapter(SegmenterSettings)


def write_settings(archive: zipfile.ZipFile, settings: SegmenterSettings) -> None:
    """Add the settings to a segmenter's file."""
    archive.writestr(SETTINGS_MEMBER, json.dumps(asdict(settings), indent=2))


def read_settings(archive: zipfile.ZipFile) -> SegmenterSettings:
    """Read what `write_settings` wrote.

    Raises:
        KeyError: There are no settings.
        ValueError: They make no sense.
    """
    if archive.getinfo(SETTINGS_MEMBER).file_size > _LARGEST_MEMBER:
        raise ValueError(f"{SETTINGS_MEMBER} is too large")
    try:
        return _CHECKED.validate_json(archive.read(SETTINGS_MEMBER))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or SETTINGS_MEMBER
        raise ValueError(f"{where}: {first['msg']}") from error
