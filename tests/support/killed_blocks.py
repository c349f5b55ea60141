"""Child process with a block-wise segmentation that kills itself.

python -m tests.support.killed_blocks FOLDER ENDING [WHAT NUMBER]
"""

import os
import signal
import sys
import time
from pathlib import Path

from zarr.core.buffer import Buffer
from zarr.storage import _local

from tests.support.large_files import learned_segmenter
from unetflow.core import atomic
from unetflow.inference.blockwise.segment_blocks import segment_blocks
from unetflow.io.image_file import open_large

SEGMENTER = learned_segmenter(temperature=1.7, threshold=0.45, min_object_size=25)


def die(*arguments: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_while_writing(ending: str, number: int) -> None:
    """Cut the N-th file with an ending in half when it is about to be synced, and die."""
    sync, count = atomic._sync, 0

    def sync_or_die(path: Path) -> None:
        nonlocal count
        count += path.suffix == ending
        if count == number:
            if path.is_file():
                os.truncate(path, path.stat().st_size // 2)
            die()
        sync(path)

    atomic._sync = sync_or_die


def die_while_writing_chunk(number: int) -> None:
    """Write half of the N-th file of a Zarr array under its temporary name, and die."""
    put, count = _local._put, 0

    def put_or_die(path: Path, value: Buffer, exclusive: bool = False) -> int:
        nonlocal count
        count += 1
        if count == number:
            path.parent.mkdir(parents=True, exist_ok=True)
            content = value.to_bytes()
            path.with_suffix(".0.partial").write_bytes(content[: len(content) // 2])
            die()
        return put(path, value, exclusive)

    _local._put = put_or_die


def die_at_move(number: int) -> None:
    """Die just after the N-th rename to the folder of the targets."""
    replace, count = os.replace, 0

    def replace_and_die(source: Path, target: Path) -> None:
        nonlocal count
        replace(source, target)
        count += not str(Path(target).parent).endswith(".unfinished")
        if count == number:
            die()

    os.replace = replace_and_die


def main(folder: Path, ending: str, what: str = "never", number: str = "0") -> None:
    """Segment `image.tif` of a folder, and die at some moment.

    Args:
        folder: Where image and results are.
        ending: Of the results.
        what: When to die. "block": after the N-th block. "chunk": when half of the N-th file of
            a Zarr array is written; "states": the same for the states of the blocks, "assembling":
            for the results. "moved": after
            the N-th result was moved to its place. "slow": never, but write a file first and take
            time.
        number: N.
    """
    moments = {
        "chunk": die_while_writing_chunk,
        "states": lambda n: die_while_writing(".npy", n),
        "assembling": lambda n: die_while_writing(ending, n),
        "moved": die_at_move,
    }
    moments.get(what, lambda n: None)(int(number))

    def on_block(done: int, blocks: int) -> None:
        if what == "block" and done == int(number):
            die()
        if what == "slow":
            (folder.parent / "begun").touch()
            time.sleep(0.02)

    with open_large(folder / "image.tif") as image:
        segment_blocks(
            SEGMENTER,
            image,
            folder / f"labels{ending}",
            probabilities=folder / f"p{ending}",
            instances=folder / f"n{ending}",
            block=60,
            on_block=on_block,
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
