"""Format of numbers and names on the pages."""

from collections.abc import Iterable

from unetflow.core.types import SPLITS

SPLIT_NAMES = {"train": "training", "validation": "validation", "test": "test"}

_DEPTHS = {"uint8": "8 bit", "uint16": "16 bit", "float32": "32-bit float"}


def ordered_splits(present: Iterable[str]) -> list[str]:
    """Return the splits that are present, in the order training, validation, test."""
    there = set(present)
    return [split for split in SPLITS if split in there]


def count_of(number: int, one: str, many: str = "") -> str:
    """Format a number with its noun: "1 image", "1,234 images"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def percent(share: float) -> str:
    """Format a fraction as a percentage; small ones keep two digits: "78.0 %", "0.023 %"."""
    if share == 0:
        return "0 %"
    if share < 1e-5:
        return "under 0.001 %"
    return f"{100 * share:.1f} %" if share >= 0.0095 else f"{100 * share:.2g} %"


def depth(dtype: str) -> str:
    """Format the bit depth of a dtype."""
    return _DEPTHS.get(dtype, dtype)


def data_size(size: int) -> str:
    """Format a number of bytes in a suitable unit."""
    value, unit = float(size), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:,.0f} {unit}" if unit == "bytes" or value >= 100 else f"{value:.1f} {unit}"


def listing(names: list[str], most: int = 5) -> str:
    """Join the first names: "a, b and 3 more"."""
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
