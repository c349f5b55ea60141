"""Read chunks that unpack to more than they should in a process of its own.

    python -m tests.support.forged_chunk FOLDER...

Prints for each folder the message, and by how many MB the peak memory has grown since the start.
"""

import json
import sys
from pathlib import Path

from tests.support.large_memory import peak
from unetflow.core.errors import InputError
from unetflow.io.image_file import open_large


def read(folder: Path) -> str:
    with open_large(folder) as image:
        try:
            image.read((0, image.shape[0]), (0, image.shape[1]))
        except InputError as error:
            return str(error)
    return "nothing"


def main(folders: list[Path]) -> None:
    with open_large(folders[0]):  # imports what the reading needs
        before = peak()
    told = [{"told": read(folder), "grown": peak() - before} for folder in folders]
    print(json.dumps(told))  # noqa: T201 - for the test that started it


if __name__ == "__main__":
    main([Path(folder) for folder in sys.argv[1:]])
