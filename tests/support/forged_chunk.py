"""Read a chunk that unpacks to more than it should in a process of its own.

    python -m tests.support.forged_chunk FOLDER

Prints the message, and by how many MB the peak memory grew.
"""

import json
import sys
from pathlib import Path

from tests.support.large_memory import peak
from unetflow.core.errors import InputError
from unetflow.io.image_file import open_large


def main(folder: Path) -> None:
    with open_large(folder) as image:
        before = peak()
        try:
            image.read((0, image.shape[0]), (0, image.shape[1]))
            told = "nothing"
        except InputError as error:
            told = str(error)
    print(json.dumps({"told": told, "grown": peak() - before}))  # noqa: T201 - for the test that started it


if __name__ == "__main__":
    main(Path(sys.argv[1]))
