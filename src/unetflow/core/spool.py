"""Items that are computed in any order and needed in that of their numbers."""

from collections.abc import Iterable, Iterator
from tempfile import SpooledTemporaryFile

import numpy as np

_MEMORY = 2**24
"""Bytes that are kept in memory; more go to a temporary file."""


def in_order(items: Iterable[tuple[int, bytes]], count: int) -> Iterator[tuple[int, bytes]]:
    """Yield items in the order of their numbers.

    Args:
        items: Numbers from 1 on, each at most once, with their contents.
        count: The highest number.
    """
    places = np.zeros((count + 1, 2), np.int64)
    with SpooledTemporaryFile(max_size=_MEMORY) as file:
        for number, content in items:
            places[number] = file.tell(), len(content)
            file.write(content)
        for number in np.flatnonzero(places[:, 1]).tolist():
            start, length = places[number].tolist()
            file.seek(start)
            yield number, file.read(length)
