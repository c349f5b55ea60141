"""The step from a network's probabilities to a label and objects, the same everywhere."""

from dataclasses import replace
from typing import Annotated, NamedTuple, Self

import numpy as np
import scipy
import skimage as ski
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from unetflow.config.mask_export import ObjectParameters
from unetflow.core.types import Label, Probabilities
from unetflow.data.object_sizes import RemovalCost
from unetflow.instances.confidence import ObjectConfidence, gather_evidence
from unetflow.instances.objects import Objects, find_objects, number_objects, part_rule
from unetflow.instances.separation import Separation, learned_part_rule, separate_objects
from unetflow.instances.watershed import PartRule

SMALLEST_PROBABILITY = 1e-7
"""Networks round to 0 and 1, which have no finite logit."""


class NetworkOutputs(NamedTuple):
    """What a network computes for an image.

    Attributes:
        probabilities: `(height, width, classes)`, calibrated; or `(height, width, 1)` for the
            foreground alone.
        landscape: `(height, width)`, in which each object is a hill (see
            `separation.seed_landscape`); None where the network has no outputs for objects.
    """

    probabilities: Probabilities
    landscape: NDArray[np.float32] | None


class Segmentation(NamedTuple):
    """What an image is found to hold.

    Attributes:
        probabilities: See `NetworkOutputs`.
        label: `(height, width)` uint8, class indices.
        objects: The objects; None where they are not separated.
    """

    probabilities: Probabilities
    label: Label
    objects: Objects | None


class Postprocessing(BaseModel):
    """How probabilities become a label, and a label becomes objects.

    Attributes:
        threshold: With two classes, a pixel is foreground at or above this calibrated probability;
            None takes the most probable class.
        temperature: Divides the network's logits, which calibrates the probabilities; see
            `evaluation.calibration`. 1 leaves them as they are.
        min_object_size: With two classes, connected pieces of the foreground with fewer pixels are
            removed; 0 keeps all.
        removal: What `min_object_size` costs among the training objects; None where it is unknown
            or nothing is removed.
        separation: How the network's outputs for objects become seeds; None where it has none.
        fitted: The rule for objects that `auto` stands for where the network has no outputs for
            them: a watershed that was fitted to true objects. None: connected components.
        confidence: How sure an object is that the method `auto` has separated; None where this was
            not fitted.
        objects: How objects are separated; None: they are not. Not stored with a segmenter.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    threshold: float | None
    temperature: Annotated[float, Field(gt=0)] = 1.0
    min_object_size: Annotated[int, Field(ge=0)] = 0
    removal: RemovalCost | None = None
    separation: Separation | None = None
    fitted: ObjectParameters | None = None
    confidence: ObjectConfidence | None = None
    objects: ObjectParameters | None = None

    @classmethod
    def untuned(cls, outputs: int) -> Self:
        """Return that of a network with so many outputs, for which nothing was tuned yet."""
        return cls(threshold=0.5 if outputs <= 2 else None)

    @property
    def network_threshold(self) -> float | None:
        """The threshold on the scale of the network's own probabilities."""
        if self.threshold is None or self.temperature == 1:
            return self.threshold
        return scale_threshold(self.threshold, 1 / self.temperature)

    def calibrate(self, probabilities: Probabilities) -> Probabilities:
        """Apply the temperature to the network's own probabilities; see `apply_temperature`."""
        return apply_temperature(probabilities, self.temperature)

    def classify(self, probabilities: Probabilities) -> Label:
        """Choose the class of each pixel, and keep small objects.

        Args:
            probabilities: Calibrated, `(height, width, classes)`, or 1 for the foreground alone.

        Returns:
            `(height, width)` uint8, class indices; of equally probable classes the first.
        """
        if self.threshold is None:
            return np.asarray(probabilities.argmax(axis=2), np.uint8)
        return (probabilities[:, :, -1] >= np.float32(self.threshold)).astype(np.uint8)

    def apply(self, probabilities: Probabilities) -> Label:
        """Turn calibrated probabilities into a label without small objects; see `classify`."""
        return remove_small_objects(self.classify(probabilities), self.min_object_size)

    def segment(self, outputs: NetworkOutputs) -> Segmentation:
        """Return the label and the objects of what a network has computed.

        The objects have a confidence where `valid_confidence` is one.
        """
        probabilities, landscape = outputs
        label = self.apply(probabilities)
        objects, confidence = self.separate(label, landscape), self.valid_confidence
        if objects is not None and confidence is not None:
            evidence = gather_evidence(objects, probabilities, landscape)
            objects = replace(objects, confidence=confidence.rate(evidence))
        return Segmentation(probabilities, label, objects)

    def with_objects(self, objects: ObjectParameters | None) -> Self:
        """Return the same postprocessing with another rule for objects."""
        return self.model_copy(update={"objects": objects})

    @property
    def object_rule(self) -> ObjectParameters | None:
        """The rule for objects where a network has no outputs for them; None: not separated."""
        objects, fitted = self.objects, self.fitted
        if objects is None or objects.method != "auto" or fitted is None:
            return objects
        return fitted.model_copy(update={"connectivity": objects.connectivity})

    @property
    def valid_confidence(self) -> ObjectConfidence | None:
        """The confidence, which holds for the method that it was fitted for; None for others."""
        chosen = self.objects is not None and self.objects.method == "auto"
        return self.confidence if chosen else None

    @property
    def separates(self) -> bool:
        """Whether `auto` is more than connected components."""
        return self.separation is not None or self.fitted is not None

    def separate(
        self, label: Label, landscape: NDArray[np.float32] | None = None
    ) -> Objects | None:
        """Separate the objects of a label; None without a rule for them.

        The landscape is that of `NetworkOutputs`.
        """
        if self.objects is None:
            return None
        separation = self.learned_separation
        if landscape is None or separation is None:
            return find_objects(label, self.object_rule)
        return number_objects(
            label,
            lambda mask: separate_objects(mask, landscape, separation, self.min_object_size),
        )

    @property
    def learned_separation(self) -> Separation | None:
        """How the network's outputs separate objects; None where another method is chosen."""
        chosen = self.objects is not None and self.objects.method == "auto"
        return self.separation if chosen else None

    def part_rule(self, has_landscape: bool) -> PartRule | None:
        """Return the rule of `separate` for parts of an image; None where there is none.

        Args:
            has_landscape: Whether the network has outputs for objects.
        """
        separation, objects = self.learned_separation, self.object_rule
        if has_landscape and separation is not None:
            return learned_part_rule(separation, self.min_object_size)
        return None if objects is None else part_rule(objects)


def remove_small_objects(label: Label, min_size: int) -> Label:
    """Remove pieces of the foreground that have fewer than `min_size` pixels.

    The label is `(height, width)` uint8, 0 or 1; pixels that touch at a corner are one piece.
    """
    if min_size <= 1:
        return label
    kept = ski.morphology.remove_small_objects(label == 1, max_size=min_size - 1, connectivity=2)
    return np.asarray(kept, np.uint8)


def apply_temperature(probabilities: Probabilities, temperature: float) -> Probabilities:
    """Divide the network's logits by a temperature (Guo et al. 2017, arXiv 1706.04599).

    The logarithms of the probabilities are the logits but for a constant, which the softmax
    cancels. A temperature above 1 brings probabilities closer to each other; the most probable
    class stays the same.

    Args:
        probabilities: `(..., classes)`, or `(..., 1)` for the foreground alone.
        temperature: 1 changes nothing.
    """
    if temperature == 1:
        return probabilities
    inner = np.clip(probabilities, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    if probabilities.shape[-1] == 1:
        return np.asarray(
            scipy.special.expit(scipy.special.logit(inner) / np.float32(temperature)), np.float32
        )
    return np.asarray(
        scipy.special.softmax(np.log(inner) / np.float32(temperature), axis=-1), np.float32
    )


def scale_threshold(threshold: float, temperature: float) -> float:
    """Return the threshold that selects the same pixels after the temperature as before it."""
    return float(scipy.special.expit(scipy.special.logit(threshold) / temperature))
