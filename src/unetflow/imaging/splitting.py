"""Which samples train, which validate and which test."""

import hashlib
from collections.abc import Sequence

import numpy as np

SPLITS = ("train", "validation", "test")


def split_samples(
    ids: Sequence[str], strategy: str, validation: float, test: float, seed: int
) -> list[str]:
    """Split by a strategy's name: "random" or "contiguous"; see the functions below."""
    if strategy == "contiguous":
        return contiguous_split(ids, validation, test)
    return random_split(ids, validation, test, seed)


def random_split(ids: Sequence[str], validation: float, test: float, seed: int) -> list[str]:
    """Split by a number that is drawn from the seed and the sample's name alone.

    So the shares are met on average only, but nobody changes sides when samples are added. A
    split that would stay empty gets the sample whose number lies nearest to its range.

    Args:
        ids: The samples' ids, at least three.
        validation: Share of the validation split, between 0 and 1.
        test: Share of the test split, likewise.
        seed: Another seed gives another split.

    Returns:
        The split of each id.
    """
    edges = np.cumsum([0.0, 1.0 - validation - test, validation, test])
    draws = [_uniform(f"{seed}/{i}") for i in ids]
    splits = [SPLITS[np.searchsorted(edges[1:-1], draw, side="right")] for draw in draws]
    for number, split in enumerate(SPLITS):
        if split not in splits:
            middle = (edges[number] + edges[number + 1]) / 2
            spare = [place for place, other in enumerate(splits) if splits.count(other) > 1]
            splits[min(spare, key=lambda place: abs(draws[place] - middle))] = split
    return splits


def contiguous_split(ids: Sequence[str], validation: float, test: float) -> list[str]:
    """Split an ordered series into three blocks: training first, then validation, then test.

    For slices of a volume or frames of a film, where neighbours are almost the same picture.

    Args:
        ids: The samples' ids in their natural order, at least three.
        validation: Share of the validation split, between 0 and 1.
        test: Share of the test split, likewise.

    Returns:
        The split of each id; each split has at least one.
    """
    tests = min(max(round(len(ids) * test), 1), len(ids) - 2)
    validations = min(max(round(len(ids) * validation), 1), len(ids) - tests - 1)
    training = len(ids) - tests - validations
    return ["train"] * training + ["validation"] * validations + ["test"] * tests


def _uniform(text: str) -> float:
    """Return a number in [0, 1) that depends on the text alone."""
    digest = hashlib.blake2b(text.encode(), digest_size=7).digest()
    return int.from_bytes(digest) / 2**56
