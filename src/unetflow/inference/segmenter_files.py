"""Files of segmenters: a network, its settings, and the SHA-256 of every member.

Each is a zip archive with `segmenter.json`, the settings, and `digests.json`. The digests reveal
damage and replaced members, but not a replaced member with a replaced digest; so nothing in such a
file is ever run as code.
"""

import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from unetflow.core.atomic import atomic_write
from unetflow.core.errors import InputError
from unetflow.inference.runtimes.registry import find_runtime
from unetflow.inference.runtimes.runtime import Parts
from unetflow.inference.segmenter_settings import (
    SETTINGS_MEMBER,
    SegmenterSettings,
    read_settings,
    write_settings,
)
from unetflow.io.files import require_file

DIGESTS_MEMBER = "digests.json"
_LARGEST_DIGESTS = 100_000
_AGAIN = "Use the file that the pipeline 'evaluation' writes, or export it again"


def complete_archive(path: Path, settings: SegmenterSettings) -> None:
    """Add settings and digests to an archive that holds a network."""
    with zipfile.ZipFile(path, "a") as archive:
        write_settings(archive, settings)
        digests = {name: _digest(archive, name) for name in archive.namelist()}
        archive.writestr(DIGESTS_MEMBER, json.dumps(digests, indent=2))


def read_own_settings(path: Path) -> SegmenterSettings:
    """Check the digests of a `.keras` file, and return its settings.

    Files of versions without digests are accepted.

    Raises:
        InputError: The file is missing, was changed after it was written, or has no settings.
    """
    with _opening(path) as archive:
        if DIGESTS_MEMBER in archive.namelist():
            _check_digests(path, archive)
        return _settings_of(path, archive)


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

        Args:
            calibration: Typical raw images `(height, width, channels)`; see `quantisation`.

        Raises:
            InputError: The runtime is not OpenVINO; and see `quantisation.quantise`.
        """
        if self.runtime != "openvino":
            raise InputError("calibration", "only OpenVINO is quantised", "Leave it out")
        from unetflow.inference.runtimes.quantisation import quantise

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
        """Read what `write` wrote.

        Raises:
            InputError: The file is missing, damaged, changed, incomplete, or not such a file.
        """
        with _opening(path) as archive:
            if DIGESTS_MEMBER not in archive.namelist():
                raise InputError(
                    path, f"it is not an exported segmenter: no {DIGESTS_MEMBER}", _AGAIN
                )
            # `write` compresses nothing, so nothing can unpack to more than the file's size.
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise InputError(
                    path, "it is not an exported segmenter: a part is compressed", _AGAIN
                )
            _check_digests(path, archive)
            settings = _settings_of(path, archive)
            names = set(archive.namelist()) - {DIGESTS_MEMBER, SETTINGS_MEMBER}
            runtime = find_runtime(names)
            if runtime is None:
                found = ", ".join(sorted(names)) or "nothing"
                raise InputError(
                    path, f"beside the settings it holds {found}, the network of no runtime", _AGAIN
                )
            return cls(runtime, {name: archive.read(name) for name in names}, settings)


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


def _settings_of(path: Path, archive: zipfile.ZipFile) -> SegmenterSettings:
    try:
        return read_settings(archive)
    except (KeyError, ValueError) as error:
        raise InputError(
            path, f"it is a network without the settings of a segmenter ({error})", _AGAIN
        ) from error


def _check_digests(path: Path, archive: zipfile.ZipFile) -> None:
    """Raise an `InputError` unless the members are those of the digests."""
    names = archive.namelist()
    if archive.getinfo(DIGESTS_MEMBER).file_size > _LARGEST_DIGESTS:
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
