"""What is done of a segmentation that is under way, block by block, on disk."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetflow.core.atomic import atomic_write
from unetflow.core.errors import InputError
from unetflow.core.types import Label, Probabilities, name_differences
from unetflow.inference.blockwise.blocks import Block

_IDENTITY = "identity.json"
_LARGEST_IDENTITY = 2**20
_LABEL, _PROBABILITIES = "label", "probabilities"


class UnfinishedBlocks:
    """A folder with the blocks that are done.

    A block's label is written last, and counts as the mark that it is done. Blocks are plain NumPy
    files, so that small parts of them can be read later.

    Args:
        folder: Where they lie.
        identity: All that the blocks depend on, by name, as plain values that JSON can hold.

    Raises:
        InputError: The folder is of another image, another model or other settings, or damaged.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self.folder = folder
        self._identity = json.dumps(dict(identity))
        now = json.loads(self._identity)  # as it is read back
        there = self._read_identity()
        differences = [] if there is None else name_differences(there, now)
        if differences:
            raise InputError(
                folder,
                f"it is of another segmentation, which differs in {', '.join(differences)}",
                "Remove the folder to begin anew, or finish that segmentation as it was begun",
            )
        if there is None:
            self.remove()  # blocks of which nobody knows what they are of
            with atomic_write(folder / _IDENTITY) as temporary:
                temporary.write_text(json.dumps(now), encoding="utf-8")
        for path in folder.glob(".*"):  # what a killed process has not finished
            path.unlink() if path.is_file() else shutil.rmtree(path)

    def digest(self, kind: str) -> bytes:
        """Return 16 bytes that identify what is made of the blocks, by its kind."""
        return hashlib.sha256(f"{kind} {self._identity}".encode()).digest()[:16]

    def has(self, block: Block) -> bool:
        """Tell whether a block is done."""
        return self._path(_LABEL, block).exists()

    def add(self, block: Block, label: Label, probabilities: Probabilities | None = None) -> None:
        """Store a block.

        Raises:
            InputError: It cannot be written, as when the disk is full.
        """
        if probabilities is not None:
            self._write(_PROBABILITIES, block, probabilities)
        self._write(_LABEL, block, label)

    def add_background(self, block: Block) -> None:
        """Store that a block was skipped."""
        self._write(_LABEL, block, np.empty((0, 0), np.uint8))

    def is_background(self, block: Block) -> bool:
        """Tell whether a block was skipped."""
        return not self._read(_LABEL, block).size

    def label(self, block: Block) -> Label:
        """Return the label of a block that is done; nothing but background where it was skipped."""
        stored = self._read(_LABEL, block)
        return np.asarray(stored, np.uint8) if stored.size else np.zeros(block.shape, np.uint8)

    def probabilities(self, block: Block) -> Probabilities | None:
        """Return the probabilities of a block, mapped into memory; None where it was skipped."""
        return None if self.is_background(block) else self._read(_PROBABILITIES, block)

    def remove(self) -> None:
        """Remove the folder, when it is no longer needed."""
        if self.folder.exists():
            # First of all the mark that the rest can be trusted.
            (self.folder / _IDENTITY).unlink(missing_ok=True)
            shutil.rmtree(self.folder)

    def _path(self, kind: str, block: Block) -> Path:
        row, column = block.place
        return self.folder / f"{kind}_{row}_{column}.npy"

    def _write(self, kind: str, block: Block, pixels: NDArray[Any]) -> None:
        path = self._path(kind, block)
        try:
            with atomic_write(path) as temporary:
                np.save(temporary, pixels, allow_pickle=False)
        except OSError as error:
            raise InputError(
                path,
                f"the block cannot be written ({error.strerror}); those before it are kept",
                "Make room on the disk, and start again: it goes on from there",
            ) from error

    def _read(self, kind: str, block: Block) -> NDArray[Any]:
        path = self._path(kind, block)
        try:
            pixels = np.load(path, mmap_mode="r", allow_pickle=False)
            if pixels.size and pixels.shape[:2] != block.shape:
                raise ValueError(f"{pixels.shape} instead of {block.shape}")
        except (OSError, ValueError, EOFError) as error:
            raise InputError(
                path,
                f"the block is damaged ({error})",
                f"Remove it and {self._path(_LABEL, block).name}, and start again: only this block "
                "is made anew",
            ) from error
        return np.asarray(pixels) if not pixels.size else pixels

    def _read_identity(self) -> dict[str, Any] | None:
        path = self.folder / _IDENTITY
        if not path.exists():
            return None
        try:
            if path.stat().st_size > _LARGEST_IDENTITY:
                raise ValueError("it is too large")
            identity = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(identity, dict):
                raise ValueError("it is no table")
        except (OSError, ValueError) as error:
            raise InputError(
                path, f"it is damaged ({error})", f"Remove {self.folder} to begin anew"
            ) from error
        return identity
