"""Child process with a `kedro run` that kills itself after some blocks.

python -m tests.support.killed_run PROJECT BLOCKS ARGUMENT ...
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from tests.conftest import kedro_run
from unetflow.inference.blockwise.block_store import BlockStore


def main(project: Path, blocks: int, *arguments: str) -> None:
    add, count = BlockStore.add, 0

    def add_and_die(self: BlockStore, *parts: Any) -> None:
        nonlocal count
        add(self, *parts)
        count += 1
        if count == blocks:
            os.kill(os.getpid(), signal.SIGKILL)

    BlockStore.add = add_and_die  # type: ignore[method-assign]
    kedro_run(project, *arguments)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
