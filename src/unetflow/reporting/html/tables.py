"""A table of a page, its numbers already written as people read them."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        columns: The heads of the columns.
        rows: The cells.
        words: How many columns, from the left, hold words; the others hold numbers.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int = 1
