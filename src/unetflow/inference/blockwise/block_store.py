"""Results of the blocks of an unfinished segmentation, kept on disk so that it can be resumed."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.storage import LocalStore

from unetflow.core.atomic import atomic_write, move_into_place
from unetflow.core.errors import InputError
from unetflow.core.types import Label, name_differences
from unetflow.inference.blockwise.image_blocks import Block, BlockResult
from unetflow.inference.blockwise.object_confidence import gather_regions
from unetflow.inference.blockwise.object_numbers import FoundObjects, number_regions
from unetflow.inference.blockwise.result_files import TILE, write_result
from unetflow.inference.blockwise.small_objects import SmallObjects
from unetflow.instances.confidence import Evidence
from unetflow.instances.watershed import PartRule
from unetflow.io.pixel_size import PixelSize

_ZARR_CONFIG = {
    "array.write_empty_chunks": True,  # so that a missing chunk is known to be damage
    "async.concurrency": 1,  # each chunk takes memory
}
_STATES = "states.npy"
_TO_DO, _PREDICTED, _BACKGROUND = range(3)


class BlockStore:
    """Zarr group with arrays of the whole image, filled block by block.

    The attributes of the group are the identity of the segmentation. The state of each block is
    kept in a file that is written after the block's pixels. Zarr writes each chunk in one step, so
    a killed call leaves no partial one; a chunk that a power failure has destroyed is reported.

    Args:
        folder: Folder of the group; opened where it exists, else created.
        identity: Everything that the results depend on, by name, as values that JSON can hold.
        blocks: All blocks, row by row.
        landscape: Whether the blocks have a landscape, see `BlockResult`.
        certainty: Whether they have the probability of each pixel's class, likewise.
        min_object_size: Labels are read without objects of fewer pixels.

    Raises:
        InputError: The folder belongs to another segmentation, is damaged, or cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        identity: Mapping[str, Any],
        blocks: Sequence[Block],
        *,
        landscape: bool = False,
        certainty: bool = False,
        min_object_size: int = 0,
    ) -> None:
        self.folder, self.blocks = folder, blocks
        self._min_size = min_object_size
        self._cleaned: Any = None
        self._identity = json.dumps(dict(identity))
        last = blocks[-1]
        self._shape = last.rows[1], last.columns[1]
        with self._reporting_errors(folder):
            self._group = self._open_group()
            path, number = folder / _STATES, (last.place[0] + 1, last.place[1] + 1)
            self._states = np.load(path) if path.exists() else np.zeros(number, np.uint8)
            self._labels = self._array("labels", np.uint8)
            self._landscape = self._array("landscape", np.float32) if landscape else None
            self._certainty = self._array("certainty", np.float32) if certainty else None

    def _open_group(self) -> Any:
        store, metadata = LocalStore(self.folder), self.folder / "zarr.json"
        identity = json.loads(self._identity)
        if not metadata.exists():
            self.remove()  # blocks of an unknown segmentation
            return zarr.create_group(store, attributes=identity)
        try:
            group = zarr.open_group(store, mode="r+")
        except Exception as error:  # zarr raises anything on damaged metadata
            raise InputError(
                metadata, f"it is damaged ({error})", f"Remove {self.folder} to start again"
            ) from error
        differences = name_differences(group.attrs.asdict(), identity)
        if differences:
            raise InputError(
                self.folder,
                f"it belongs to another segmentation, which differs in {', '.join(differences)}",
                "Remove the folder to start again, or finish that segmentation as it was started",
            )
        for path in [*self.folder.glob(".*"), *self.folder.rglob("*.partial")]:
            path.unlink() if path.is_file() else shutil.rmtree(path)  # of a killed process
        return group

    def _array(self, name: str, dtype: type, channels: tuple[int, ...] = ()) -> Any:
        return self._group.require_array(
            name,
            shape=(*self._shape, *channels),
            chunks=(TILE, TILE, *channels),
            dtype=dtype,
            compressors=None,  # which would take longer than they save
        )

    def missing_blocks(self) -> list[Block]:
        """Return the blocks that are not stored yet."""
        return [block for block in self.blocks if self._states[block.place] == _TO_DO]

    def count_background(self) -> int:
        """Return how many blocks were skipped."""
        return int((self._states == _BACKGROUND).sum())

    def add(self, block: Block, result: BlockResult) -> None:
        """Store a block; an `InputError` where that fails, for example when the disk is full."""
        with self._reporting_errors(self.folder):
            if result.probabilities is not None:
                pixels = result.probabilities
                channels = pixels.shape[2:] if pixels.shape[2] > 1 else ()
                array = self._array("probabilities", np.float32, channels)
                array[block.slices] = pixels.reshape(*block.shape, *channels)
            if self._landscape is not None:
                self._landscape[block.slices] = 0 if result.landscape is None else result.landscape
            if self._certainty is not None:
                self._certainty[block.slices] = 0 if result.certainty is None else result.certainty
            self._labels[block.slices] = 0 if result.label is None else result.label
            self._states[block.place] = _BACKGROUND if result.label is None else _PREDICTED
            with atomic_write(self.folder / _STATES) as temporary:
                np.save(temporary, self._states)

    def write_labels(self, target: Path, pixel_size: PixelSize | None) -> None:
        """Write the labels of all blocks to a file."""
        with self._reporting_errors(target):
            self._write(self._clean_labels(), target, pixel_size)

    def write_instances(
        self, target: Path, rule: PartRule, pixel_size: PixelSize | None
    ) -> FoundObjects:
        """Write the number of each pixel's object to a file, see `number_regions`."""
        with self._reporting_errors(target):
            if self._landscape is not None:
                _require_all_chunks(self._landscape)
            numbers = self._array("instances", np.uint32)
            found = number_regions(rule, self._clean_labels(), self._landscape, numbers)
            self._write(numbers, target, pixel_size, found.boxes.tobytes())
        return found

    def gather_evidence(self, count: int) -> Evidence:
        """Return the evidence of as many objects; `write_instances` must have numbered them."""
        with self._reporting_errors(self.folder):
            _require_all_chunks(self._certainty)
            numbers = self._group["instances"]
            return gather_regions(numbers, count, self._certainty, self._landscape)

    def _clean_labels(self) -> Any:
        """Return the array of the labels without small objects; it is made once."""
        if self._cleaned is None:
            _require_all_chunks(self._labels)
            self._cleaned = self._labels
            if self._min_size > 1:
                self._cleaned = self._array("labels_of_large_objects", np.uint8)
                objects = SmallObjects(self.blocks, self._read_label, self._min_size)
                for block in self.blocks:
                    self._cleaned[block.slices] = objects.clean(block)
        return self._cleaned

    def write_probabilities(self, target: Path, pixel_size: PixelSize | None) -> None:
        """Write the probabilities of all blocks to a file; see `write_labels`."""
        with self._reporting_errors(target):
            known = "probabilities" in self._group  # unless all blocks are background
            channels = self._group["probabilities"].shape[2:] if known else ()
            array = self._array("probabilities", np.float32, channels)
            certain = np.eye(1, *channels, dtype=np.float32)[0] if channels else 0
            for block in self.blocks:
                if self._states[block.place] == _BACKGROUND:
                    array[block.slices] = np.broadcast_to(certain, (*block.shape, *channels))
            _require_all_chunks(array)
            self._write(array, target, pixel_size)

    def _read_label(self, block: Block) -> Label:
        return np.asarray(self._labels[block.slices], np.uint8)

    def _write(
        self, array: Any, target: Path, pixel_size: PixelSize | None, more: bytes = b""
    ) -> None:
        finished = self.folder / f"assembled_{target.name}"  # removed with the blocks after a kill
        identity = f"{array.dtype.name} {self._identity}".encode() + more
        write_result(finished, array, hashlib.sha256(identity).digest()[:16], pixel_size)
        move_into_place(finished, target)

    @contextmanager
    def _reporting_errors(self, where: Path) -> Iterator[None]:
        """Raise an `InputError` where a file cannot be written, or a chunk cannot be decoded."""
        try:
            with zarr.config.set(_ZARR_CONFIG):
                yield
        except InputError:
            raise
        except OSError as error:
            raise InputError(
                where,
                f"it cannot be written ({error.strerror}); the blocks that are done are kept",
                "Make room on the disk, and run again",
            ) from error
        except (EOFError, RuntimeError, ValueError) as error:
            raise InputError(
                where,
                f"its unfinished blocks are damaged ({error})",
                f"Remove {self.folder}, and run again",
            ) from error

    def remove(self) -> None:
        """Remove the folder."""
        if self.folder.exists():
            (self.folder / "zarr.json").unlink(missing_ok=True)  # the rest is invalid without it
            shutil.rmtree(self.folder)


def _require_all_chunks(array: Any) -> None:
    """Raise a `ValueError` where a chunk is missing, which Zarr would read as zeros."""
    if array.nchunks_initialized < array.nchunks:
        raise ValueError("a chunk is missing")
