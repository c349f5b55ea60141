"""The parameters of `parameters_model.yml`."""

from typing import Annotated, Literal

from pydantic import Field

from unetflow.config.base import Count, Strict
from unetflow.core.types import OBJECT_OUTPUTS

Depth = Annotated[int, Field(ge=1, le=8)]


class ModelParameters(Strict):
    """The network that the stage `construction` builds; null is planned."""

    base_filters: Count | None
    """filters of the first level; each level below has twice as many"""
    depth: Depth | None
    """how often the size is halved"""
    normalisation: Literal["batch", "group", "instance", "none"] = "batch"
    """batch, group, instance or none"""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """fraction dropped at the end of the contracting path"""
    padding: Literal["same", "valid"] = "same"
    """same, or valid: no invented pixels at the borders, a smaller output"""
    up_activation: Literal["none", "relu"] = "none"
    """what follows an up-convolution: none or relu"""
    deep_supervision: int = Field(default=0, ge=0)
    """decoder levels below the first that are trained directly"""
    head: Literal["auto", "sigmoid", "softmax"] = "auto"
    """sigmoid for two classes, softmax for any number; auto takes the smaller one"""

    instances: Literal["auto", "none", "boundary", "distance", "both"] = "none"
    """further outputs that separate touching objects: none, their boundary, the distance to their
    outside, or both; auto takes both where half of the training samples or more number their
    objects and some touch"""

    def count_probabilities(self, classes: int) -> int:
        """Return the number of probabilities for each pixel."""
        return 1 if classes == 2 and self.head != "softmax" else classes

    def count_outputs(self, classes: int) -> int:
        """Return the number of outputs for each pixel; those of `auto` as if they were needed."""
        outputs = OBJECT_OUTPUTS["both" if self.instances == "auto" else self.instances]
        return self.count_probabilities(classes) + len(outputs)


class PlannedModel(ModelParameters):
    """The same with nothing left to plan."""

    depth: Depth
    base_filters: Count
    instances: Literal["none", "boundary", "distance", "both"] = "none"
