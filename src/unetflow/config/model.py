"""The parameters of `parameters_model.yml`."""

from typing import Annotated, Literal

from pydantic import Field

from unetflow.config.validation import Count, Strict

Depth = Annotated[int, Field(ge=1, le=8)]


class ModelParameters(Strict):
    """The network that the stage `construction` builds; null is planned."""

    base_filters: Count | None = Field(
        description="filters of the first level; each level below has twice as many"
    )
    depth: Depth | None = Field(description="how often the size is halved")
    normalisation: Literal["batch", "group", "instance", "none"] = Field(
        default="batch", description="batch, group, instance or none"
    )
    dropout: float = Field(
        default=0.0, ge=0, lt=1, description="fraction dropped at the end of the contracting path"
    )
    padding: Literal["same", "valid"] = Field(
        default="same",
        description="same, or valid: no invented pixels at the borders, a smaller output",
    )
    up_activation: Literal["none", "relu"] = Field(
        default="none", description="what follows an up-convolution: none or relu"
    )
    deep_supervision: int = Field(
        default=0, ge=0, description="decoder levels below the first that are trained directly"
    )
    head: Literal["auto", "sigmoid", "softmax"] = Field(
        default="auto",
        description="sigmoid for two classes, softmax for any number; auto takes the smaller one",
    )

    def count_outputs(self, classes: int) -> int:
        """Return the number of probabilities for each pixel."""
        return 1 if classes == 2 and self.head != "softmax" else classes


class PlannedModel(ModelParameters):
    """The same with nothing left to plan."""

    depth: Depth
    base_filters: Count
