"""The count of objects beside the true one, image by image and over a set of images."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from unetflow.core.types import Label
from unetflow.evaluation.charged import OBJECT_COUNTS, column_of
from unetflow.evaluation.significance import ratio_interval
from unetflow.metrics.regions import select_objects
from unetflow.metrics.shared import ClassMasks

ObjectNumbers = NDArray[np.unsignedinteger]

TRUE, FOUND = OBJECT_COUNTS
_MOST_BINS, _FEWEST_IN_BIN = 5, 4


class CountBin(BaseModel):
    """Images with `low` to `high` true objects each; see `ObjectCounts` for the errors."""

    low: int
    high: int
    images: int
    true: int
    found: int
    error: float | None
    interval: tuple[float, float] | None
    net_error: float | None


class ObjectCounts(BaseModel):
    """How many objects are found in test images, and how many there are.

    The relative errors are None where there is no true object, the 95 % intervals also where there
    is one image or group alone.

    Attributes:
        images: Number of the test images whose objects are numbered.
        true: Number of true objects in all of them.
        found: Number of found objects.
        error: Sum of |found - true| over images and classes, relative to the true objects: too
            many in one image do not make up for too few in another.
        interval: Its interval.
        net_error: (found - true) / true over all images together, in which errors cancel.
        net_interval: Its interval.
        mean_error: Mean over images of found - true, in objects.
        mean_absolute_error: Mean over images of |found - true|, in objects.
        by_density: The same for images with few and with many true objects.
        definition: How the errors were computed.
    """

    model_config = ConfigDict(frozen=True)

    images: int
    true: int
    found: int
    error: float | None
    interval: tuple[float, float] | None
    net_error: float | None
    net_interval: tuple[float, float] | None
    mean_error: float
    mean_absolute_error: float
    by_density: list[CountBin]
    definition: str


def count_objects(
    truth: Label,
    found: Label,
    classes: Sequence[str],
    true_objects: ObjectNumbers,
    found_objects: ObjectNumbers | None,
) -> dict[str, int]:
    """Count the objects of an image, as the scores of `metrics.regions` do.

    Args:
        truth: `(height, width)` class indices; 255 is ignored.
        found: `(height, width)` class indices.
        classes: The names of the classes, the background first.
        true_objects: `(height, width)`, the number of each pixel's true object; 0 for none.
        found_objects: Likewise of each pixel's found object; None: they are connected regions.

    Returns:
        `true_objects` and `found_objects`; with more than two classes for each of them, as in
        `true_objects_<class>`.
    """
    row = {}
    for index, name in enumerate(classes[1:], start=1):
        masks = ClassMasks.of(truth, found, index)
        both = select_objects(masks, true_objects, found_objects)
        for key, numbers in zip((TRUE, FOUND), both, strict=True):
            column = column_of(key, name) if len(classes) > 2 else key
            row[column] = int(np.count_nonzero(np.unique(numbers)))
    return row


@dataclass(frozen=True)
class CountTable:
    """The true and the found objects of images whose objects are numbered.

    Attributes:
        classes: The names of the classes, without the background; "" where there is one.
        true: `(images, classes)`, true objects.
        found: `(images, classes)`, found objects.
        groups: Group of each image; None where images are independent.
    """

    classes: tuple[str, ...]
    true: NDArray[np.int64]
    found: NDArray[np.int64]
    groups: Sequence[Hashable] | None = None

    @classmethod
    def of(cls, table: pd.DataFrame, groups: Sequence[Hashable] | None = None) -> Self:
        """Read a table of `score_images`; images whose objects are not numbered are left out."""
        names = tuple(str(c).removeprefix(TRUE) for c in table if str(c).startswith(TRUE))
        columns = table[[TRUE + name for name in names]]
        known = columns.notna().all(axis=1).to_numpy() & (len(names) > 0)
        own = None if groups is None else [g for g, k in zip(groups, known, strict=True) if k]
        true, found = (
            table.loc[known, [key + name for name in names]].to_numpy(np.int64)
            for key in (TRUE, FOUND)
        )
        return cls(tuple(name.removeprefix("_") for name in names), true, found, own)

    def of_class(self, index: int) -> Self:
        """Return the counts of one class."""
        one = slice(index, index + 1)
        return type(self)(self.classes[one], self.true[:, one], self.found[:, one], self.groups)

    def of_images(self, chosen: NDArray[np.bool_]) -> Self:
        """Return the counts of some images."""
        groups = self.groups
        if groups is not None:
            groups = [group for group, keep in zip(groups, chosen, strict=True) if keep]
        return type(self)(self.classes, self.true[chosen], self.found[chosen], groups)

    @property
    def true_in_images(self) -> NDArray[np.int64]:
        """The true objects of each image, `(images,)`."""
        return np.asarray(self.true.sum(axis=1))

    @property
    def net_errors(self) -> NDArray[np.int64]:
        """Found less true objects of each image, `(images,)`."""
        return np.asarray((self.found - self.true).sum(axis=1))

    @property
    def errors(self) -> NDArray[np.int64]:
        """The sum over the classes of |found - true| of each image, `(images,)`."""
        return np.asarray(np.abs(self.found - self.true).sum(axis=1))

    def relate(self, errors: NDArray[np.int64]) -> float | None:
        """Return the sum of errors relative to the true objects; None where there is none."""
        total = int(self.true.sum())
        return float(errors.sum() / total) if total else None

    def find_interval(self, errors: NDArray[np.int64], seed: int) -> tuple[float, float] | None:
        """Return the interval of `relate`."""
        return ratio_interval(errors, self.true_in_images, self.groups, seed)


def summarise_counts(
    image_scores: pd.DataFrame, groups: Sequence[Hashable] | None = None, seed: int = 0
) -> tuple[ObjectCounts | None, dict[str, ObjectCounts]]:
    """Summarise the counts of a table of `score_images`.

    Args:
        image_scores: The table.
        groups: Group of each image; None where images are independent.
        seed: Seed of the intervals.

    Returns:
        The counts of all classes together, and where there are several those of each; None and
        nothing where no image numbers its objects.
    """
    table = CountTable.of(image_scores, groups)
    if not len(table.true):
        return None, {}
    several = len(table.classes) > 1
    each = {n: _summarise(table.of_class(i), seed) for i, n in enumerate(table.classes) if several}
    return _summarise(table, seed), each


def bin_evenly(values: pd.Series) -> NDArray[np.intp]:
    """Return the bin of each value, from 0 on: up to 5 bins of about equal number.

    Equal values stay together. A single bin may hold fewer than 4 values, others may not.
    """
    bins = int(np.clip(len(values) // _FEWEST_IN_BIN, 1, _MOST_BINS))
    places = pd.qcut(values, bins, labels=False, duplicates="drop").fillna(0)
    return places.to_numpy(np.intp)


def _summarise(table: CountTable, seed: int) -> ObjectCounts:
    units = "images" if table.groups is None else "groups of images"
    several = len(table.classes) > 1
    return ObjectCounts(
        images=len(table.true),
        true=int(table.true.sum()),
        found=int(table.found.sum()),
        error=table.relate(table.errors),
        interval=table.find_interval(table.errors, seed),
        net_error=table.relate(table.net_errors),
        net_interval=table.find_interval(table.net_errors, seed),
        mean_error=float(table.net_errors.mean()),
        mean_absolute_error=float(table.errors.mean()),
        by_density=_summarise_bins(table, seed),
        definition="Count error: the sum over images"
        + " and classes" * several
        + " of |found - true objects|, divided by all true objects; too many in one image do not "
        "make up for too few in another, as they do in the net count error, (found - true) / true "
        "of all images together. In test images that number their objects, without pixels of label "
        f"255. Intervals: 95 % by bootstrap over {units}.",
    )


def _summarise_bins(table: CountTable, seed: int) -> list[CountBin]:
    places = bin_evenly(pd.Series(table.true_in_images))
    bins = []
    for place in np.unique(places):
        part = table.of_images(places == place)
        true = part.true_in_images
        bins.append(
            CountBin(
                low=int(true.min()),
                high=int(true.max()),
                images=len(true),
                true=int(true.sum()),
                found=int(part.found.sum()),
                error=part.relate(part.errors),
                interval=part.find_interval(part.errors, seed),
                net_error=part.relate(part.net_errors),
            )
        )
    return bins
