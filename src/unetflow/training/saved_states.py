"""Saved states of trainings, from which an interrupted one is resumed."""

import hashlib
import json
import logging
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetflow.core.atomic import atomic_write
from unetflow.core.errors import InputError
from unetflow.core.types import Identity, name_differences

_log = logging.getLogger(__name__)

_HEADER = "header"


@dataclass(frozen=True)
class TrainingState:
    """All that a training needs to continue: plain values that JSON can hold, and arrays."""

    facts: dict[str, Any]
    arrays: dict[str, NDArray[Any]]


class CheckpointFolder:
    """A folder with one file for each training that is running or was interrupted.

    All but the `keep` files that were written last are removed.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self.keep = folder, keep
        self._used: list[Checkpoint] = []

    def of(self, identity: Identity) -> "Checkpoint":
        """Return the state of one training."""
        self._used.append(Checkpoint(self, identity))
        return self._used[-1]

    def remove_used(self) -> None:
        """Remove the states of all trainings that `of` was called for."""
        while self._used:
            self._used.pop().remove()

    def paths(self) -> list[Path]:
        """Return the files, the one written last first."""
        found = self.folder.glob("[!.]*.npz")
        return sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)


class Checkpoint:
    """The state of one training, which its identity finds again among those of the folder."""

    def __init__(self, folder: CheckpointFolder, identity: Identity) -> None:
        self._folder = folder
        self._identity = json.loads(json.dumps(dict(identity)))  # as it is read back
        text = json.dumps(self._identity, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()
        self.path = folder.folder / f"{digest[:16]}.npz"

    def load(self) -> TrainingState | None:
        """Read the state; None, and a word about other trainings, where there is none.

        Raises:
            InputError: The file is damaged, or of another training in spite of its name.
        """
        for unfinished in self.path.parent.glob(".*.npz"):  # by a killed process, and maybe large
            unfinished.unlink(missing_ok=True)
        if not self.path.exists():
            for path in self._folder.paths()[:1]:
                other = _read(path, only_header=True)[_HEADER]["identity"]
                _log.warning(
                    "The training that was interrupted last (%s) is not resumed, since it differs "
                    "in %s. This one starts again; with the values of before the other would "
                    "continue.",
                    path,
                    ", ".join(name_differences(other, self._identity)),
                )
            return None
        arrays = _read(self.path)
        header = arrays.pop(_HEADER)
        differences = name_differences(header["identity"], self._identity)
        if differences:
            raise InputError(
                self.path,
                f"it is of another training, which differs in {', '.join(differences)}",
                "Remove it to start this training again",
            )
        return TrainingState(header["facts"], arrays)

    def save(self, state: TrainingState) -> None:
        """Replace the state in one step; the one before is kept until then.

        Raises:
            InputError: It cannot be written, as when the disk is full.
        """
        header = json.dumps({"identity": self._identity, "facts": state.facts})
        encoded = np.frombuffer(header.encode(), np.uint8)
        try:
            with atomic_write(self.path) as temporary, temporary.open("wb") as file:
                np.savez(file, allow_pickle=False, **{_HEADER: encoded}, **state.arrays)
        except OSError as error:
            kept = "the state of the epoch before is kept" if self.path.exists() else "none is kept"
            raise InputError(
                self.path,
                f"the training's state cannot be written ({error.strerror}); {kept}",
                "Make room on the disk, and start the training again: it is resumed from there",
            ) from error
        for path in self._folder.paths()[self._folder.keep :]:
            path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the state, when it is no longer needed."""
        self.path.unlink(missing_ok=True)


def _read(path: Path, *, only_header: bool = False) -> dict[str, Any]:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            names = [_HEADER] if only_header else file.files
            arrays: dict[str, Any] = {name: file[name] for name in names}
        arrays[_HEADER] = json.loads(arrays[_HEADER].tobytes())
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            path,
            f"the state of a training in it is damaged ({error})",
            "Remove it; the training then starts again",
        ) from error
    return arrays
