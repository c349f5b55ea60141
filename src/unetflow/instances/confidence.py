"""Confidence of objects: the chance that an object is a true one, from what a network computes."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal, NamedTuple, Self, TypeAlias

import numpy as np
import scipy
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from unetflow.core.types import Label, Probabilities
from unetflow.instances.objects import Objects

Feature: TypeAlias = Literal[
    "probability", "outline_probability", "log_area", "roundness", "height", "outline_height"
]
"""What an object's confidence depends on; see `Evidence.features`."""
TruthSource: TypeAlias = Literal["objects", "pieces"]
"""What true objects are: those that the samples number, or connected pieces of the foreground."""


class Evidence(NamedTuple):
    """Sums over the pixels of each object, each `(objects,)`; sums of parts of an image add up.

    Attributes:
        area: Pixels.
        outline: Pixels of the inner outline: those with an edge neighbour in the image that does
            not belong to the object.
        probability: Sum of the calibrated probability of the object's class.
        outline_probability: The same along the outline.
        height: Largest value of the landscape (see `separation.seed_landscape`); NaN without one.
        outline_height: Sum of the landscape along the outline; NaN without one.
    """

    area: NDArray[np.int64]
    outline: NDArray[np.int64]
    probability: NDArray[np.float64]
    outline_probability: NDArray[np.float64]
    height: NDArray[np.float64]
    outline_height: NDArray[np.float64]

    @classmethod
    def zeros(cls, count: int) -> Self:
        """Return the sums of objects without any pixel."""
        return cls._make(np.zeros(count, kind) for kind in [np.int64] * 2 + [np.float64] * 4)

    def add(self, numbers: NDArray[np.integer], part: Self) -> None:
        """Add the sums of a part of the image, whose objects have these numbers, from 1 on."""
        for name, sums, more in zip(self._fields, self, part, strict=True):
            both = np.maximum if name == "height" else np.add
            sums[numbers - 1] = both(sums[numbers - 1], more)

    def features(self) -> dict[Feature, NDArray[np.float64]]:
        """Return the features of each object, `(objects,)`.

        They are the mean `probability` inside and along the outline, the logarithm of the area,
        `roundness`, the logarithm of 4 pi area / outline^2, which is smaller for objects that were
        joined, and the landscape's highest value inside and its mean along the outline, which is
        large where an object was cut in two. An object that fills the image has no outline: its
        inside counts instead.
        """
        area = self.area.astype(np.float64)
        has_outline, outline = self.outline > 0, np.maximum(self.outline, 1)
        inside = self.probability / area
        return {
            "probability": inside,
            "outline_probability": np.where(
                has_outline, self.outline_probability / outline, inside
            ),
            "log_area": np.log(area),
            "roundness": np.log(4 * np.pi * area) - 2 * np.log(outline),
            "height": self.height,
            "outline_height": np.where(has_outline, self.outline_height / outline, self.height),
        }


def gather_evidence(
    objects: Objects, probabilities: Probabilities, landscape: NDArray[np.float32] | None
) -> Evidence:
    """Sum up what a network computed for the pixels of each object.

    It takes one pass over the image for all objects.

    Args:
        objects: The objects of an image.
        probabilities: `(height, width, classes)`, calibrated; or 1 for the foreground alone.
        landscape: `(height, width)`, see `separation.seed_landscape`; None where there is none.
    """
    classes = np.append(np.uint8(0), objects.classes)[objects.numbers]
    probability = select_class(probabilities, classes)
    return sum_evidence(objects.numbers, len(objects.classes), probability, landscape)


def select_class(probabilities: Probabilities, label: Label) -> NDArray[np.float32]:
    """Return the probability of each pixel's class, `(height, width)`; of two the foreground's."""
    if probabilities.shape[2] <= 2:
        return probabilities[:, :, -1]
    indices = label[:, :, np.newaxis].astype(np.intp)
    return np.take_along_axis(probabilities, indices, axis=2)[:, :, 0]


def sum_evidence(
    numbers: NDArray[np.integer],
    count: int,
    probability: NDArray[np.float32],
    landscape: NDArray[np.float32] | None,
    inside: tuple[slice, slice] = np.s_[:, :],
) -> Evidence:
    """Return the evidence of a part of an image; see `gather_evidence`.

    Args:
        numbers: `(height, width)`, the number of each pixel's object, from 1 on; 0 for none.
        count: Largest number.
        probability: `(height, width)`, that of the object's class.
        landscape: `(height, width)`; None where there is none.
        inside: The pixels that are summed up; those around them show where outlines are.
    """
    outlines = _find_inner_outlines(numbers)[inside].ravel()
    flat = numbers[inside].ravel()
    places = np.flatnonzero(flat)
    own, is_edge = flat[places].astype(np.intp) - 1, outlines[places]
    edge_owners = own[is_edge]
    values = probability[inside].ravel()[places].astype(np.float64)

    def add_up(owners: NDArray[np.intp], values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(owners, values, count).astype(np.float64)

    height = outline_height = np.full(count, np.nan)
    if landscape is not None:
        heights = landscape[inside].ravel()[places].astype(np.float64)
        height = np.zeros(count)
        np.maximum.at(height, own, heights)
        outline_height = add_up(edge_owners, heights[is_edge])
    return Evidence(
        area=np.bincount(own, minlength=count),
        outline=np.bincount(edge_owners, minlength=count),
        probability=add_up(own, values),
        outline_probability=add_up(edge_owners, values[is_edge]),
        height=height,
        outline_height=outline_height,
    )


def _find_inner_outlines(numbers: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return which pixels have an edge neighbour of another number, `(height, width)`."""
    outlines = np.zeros(numbers.shape, bool)
    for ahead, behind in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        differs = numbers[ahead] != numbers[behind]
        outlines[ahead] |= differs
        outlines[behind] |= differs
    return outlines


class Term(BaseModel):
    """One feature's part in a confidence.

    Attributes:
        weight: Factor of the feature.
        low: Smallest value among the objects of the fit; smaller ones count as this.
        high: Largest value, likewise: beyond what was seen, a line says nothing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    weight: float
    low: float
    high: float


class ObjectConfidence(BaseModel):
    """From an object's features to the chance that it matches a true object at IoU above 0.5.

    It is a logistic regression, fitted by `evaluation.confidence_fitting` on validation objects.

    Attributes:
        intercept: Log odds without the terms.
        terms: By feature; their weighted sum is added to the log odds.
        objects: Number of found objects that it was fitted on.
        matched: Number of those that match a true one.
        truth: What the true objects were.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    intercept: float
    terms: dict[Feature, Term]
    objects: Annotated[int, Field(ge=1)]
    matched: Annotated[int, Field(ge=0)]
    truth: TruthSource

    def rate(self, evidence: Evidence) -> NDArray[np.float64]:
        """Return the confidence of each object `(objects,)`, from 0 to 1."""
        features = evidence.features()
        log_odds = np.full(len(evidence.area), self.intercept)
        for name, term in self.terms.items():
            log_odds += term.weight * np.clip(features[name], term.low, term.high)
        return np.asarray(scipy.special.expit(log_odds), np.float64)


def average_confidences(members: Sequence[ObjectConfidence | None]) -> ObjectConfidence | None:
    """Return the confidence whose weights are the means of several, and whose ranges hold theirs.

    It is None where a member has none, or where features or true objects differ.
    """
    known = [member for member in members if member is not None]
    kinds = {(member.truth, tuple(sorted(member.terms))) for member in known}
    if len(known) < len(members) or len(kinds) != 1:
        return None

    def mean_of(values: Iterable[float]) -> float:
        return float(np.mean(list(values)))

    return ObjectConfidence(
        intercept=mean_of(member.intercept for member in known),
        terms={
            name: Term(
                weight=mean_of(member.terms[name].weight for member in known),
                low=min(member.terms[name].low for member in known),
                high=max(member.terms[name].high for member in known),
            )
            for name in known[0].terms
        },
        objects=sum(member.objects for member in known),
        matched=sum(member.matched for member in known),
        truth=known[0].truth,
    )
