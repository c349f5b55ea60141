"""Files of segmenters: a network, its settings, and the SHA-256 of every member.

Each is a zip archive with `segmenter.json`, the settings, and `digests.json`. The digests reveal
damage and replaced members, but not a replaced member with a replaced digest; so nothing in such a
file is ever run as code.
"""

import hashlib
import json
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from unetflow.core.atomic import atomic_write
from unetflow.core.errors import InputError
from unetflow.core.geometry import Geometry
from unetflow.core.types import ObjectOutput
from unetflow.data.intensity import DriftReference
from unetflow.inference.postprocessing import Postprocessing
from unetflow.inference.runtimes.openvino_precision import quantise
from unetflow.inference.runtimes.runtime import PARTS, Parts
from unetflow.io.files import require_file

DIGESTS_MEMBER, SETTINGS_MEMBER = "digests.json", "segmenter.json"
_MAX_DIGESTS_BYTES, _MAX_SETTINGS_BYTES = 100_000, 1_000_000
_AGAIN = "Use the file that the pipeline 'evaluation' writes, or export it again"
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
        object_outputs: Names of the outputs that follow the probabilities of the classes; see
            `core.types.OBJECT_OUTPUTS`.
        objects_numbered: Whether any sample numbered its objects, so that objects were tuned and
            counts are known to be right or wrong; None in files of earlier versions.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    classes: list[str]
    channels: int
    dtype: str
    geometry: Geometry
    tile: int
    postprocessing: Postprocessing
    seen: DriftReference | None = None
    object_outputs: tuple[ObjectOutput, ...] = ()
    objects_numbered: bool | None = None


def complete_archive(path: Path, settings: SegmenterSettings) -> None:
    """Add settings and digests to an archive that holds a network."""
    content = settings.model_dump(mode="json", exclude={"postprocessing": {"objects"}})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(SETTINGS_MEMBER, json.dumps(content, indent=2))
        digests = {name: _digest(archive, name) for name in archive.namelist()}
        archive.writestr(DIGESTS_MEMBER, json.dumps(digests, indent=2))


def read_own_settings(path: Path) -> SegmenterSettings:
    """Check the digests of a `.keras` file, if it has any, and return its settings.

    Raises:
        InputError: The file is missing, was changed after it was written, or has no settings.
    """
    with _opening(path) as archive:
        if DIGESTS_MEMBER in archive.namelist():
            _check_digests(path, archive)
        return _read_settings(path, archive)


@dataclass(frozen=True)
class Exported:
    """A segmenter that was converted for another runtime than Keras.

    Attributes:
        runtime: "openvino" or "onnx".
        parts: The files of the network.
        settings: The settings of the segmenter.
    """

    runtime: str
    parts: Parts
    settings: SegmenterSettings

    def quantised(self, calibration: Iterable[NDArray[np.generic]]) -> Self:
        """Return the segmenter with convolutions in int8, which changes the masks.

        Raises:
            InputError: The runtime is not OpenVINO; and see `quantise`.
        """
        if self.runtime != "openvino":
            raise InputError("calibration", "only OpenVINO is quantised", "Leave it out")
        settings = self.settings
        parts = quantise(self.parts, calibration, settings.geometry, settings.tile)
        return replace(self, parts=parts)

    def write(self, path: Path) -> None:
        """Write one file, in one step."""
        with atomic_write(path) as temporary:
            with zipfile.ZipFile(temporary, "w") as archive:
                for name, content in self.parts.items():
                    archive.writestr(name, content)
            complete_archive(temporary, self.settings)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` wrote; an `InputError` where it is missing, damaged or changed."""
        with _opening(path) as archive:
            members = set(archive.namelist())
            if DIGESTS_MEMBER not in members:
                raise InputError(
                    path, f"it is not an exported segmenter: no {DIGESTS_MEMBER}", _AGAIN
                )
            # `write` compresses nothing, so nothing can unpack to more than the file's size.
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise InputError(
                    path, "it is not an exported segmenter: a part is compressed", _AGAIN
                )
            _check_digests(path, archive)
            settings = _read_settings(path, archive)
            names = members - {DIGESTS_MEMBER, SETTINGS_MEMBER}
            for runtime, parts in PARTS.items():
                if names == parts:
                    return cls(runtime, {name: archive.read(name) for name in names}, settings)
            found = ", ".join(sorted(names)) or "nothing"
            raise InputError(
                path, f"beside the settings it holds {found}, the network of no runtime", _AGAIN
            )


@contextmanager
def _opening(path: Path) -> Iterator[zipfile.ZipFile]:
    require_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    # Errors of `zipfile` for an archive that is damaged, encrypted or compressed in an unknown way
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError) as error:
        raise InputError(
            path, f"it is not an archive, or it is damaged ({error})", _AGAIN
        ) from error


def _read_settings(path: Path, archive: zipfile.ZipFile) -> SegmenterSettings:
    """Read the settings, also those of an earlier version."""
    try:
        if archive.getinfo(SETTINGS_MEMBER).file_size > _MAX_SETTINGS_BYTES:
            raise ValueError(f"{SETTINGS_MEMBER} is too large")
        values = json.loads(archive.read(SETTINGS_MEMBER))
        if isinstance(values, dict) and "postprocessing" not in values:
            values = _nest_postprocessing(values)
        return SegmenterSettings.model_validate(values)
    except (KeyError, ValueError) as error:
        problem: object = error
        if isinstance(error, ValidationError):
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or SETTINGS_MEMBER
            problem = f"{where}: {first['msg']}"
        raise InputError(
            path, f"it is a network without the settings of a segmenter ({problem})", _AGAIN
        ) from error


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


def _check_digests(path: Path, archive: zipfile.ZipFile) -> None:
    """Raise an `InputError` unless the members are those of the digests."""
    names = archive.namelist()
    if archive.getinfo(DIGESTS_MEMBER).file_size > _MAX_DIGESTS_BYTES:
        raise InputError(path, f"{DIGESTS_MEMBER} is too large", _AGAIN)
    try:
        digests = dict(json.loads(archive.read(DIGESTS_MEMBER)))
    except (TypeError, ValueError) as error:
        raise InputError(path, f"{DIGESTS_MEMBER} cannot be read ({error})", _AGAIN) from error
    present = set(names) - {DIGESTS_MEMBER}
    for problem, found in (
        ("it has a part twice", {name for name in names if names.count(name) > 1}),
        ("a part is missing", digests.keys() - present),
        ("a part does not belong to it", present - digests.keys()),
    ):
        if found:
            raise InputError(path, f"{problem}: {', '.join(sorted(found))}", _AGAIN)
    changed = [name for name in sorted(present) if _digest(archive, name) != digests[name]]
    if changed:
        raise InputError(
            path,
            f"it was changed after it was written: the SHA-256 of {', '.join(changed)} is not "
            f"that in {DIGESTS_MEMBER}",
            _AGAIN,
        )


def _digest(archive: zipfile.ZipFile, name: str) -> str:
    with archive.open(name) as member:
        return hashlib.file_digest(member, "sha256").hexdigest()  # type: ignore[arg-type] # it has all that is asked
