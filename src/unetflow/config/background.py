"""The parameters under which a block of a large image counts as background."""

from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from unetflow.config.validation import Strict
from unetflow.core.errors import InputError

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]

_PERCENTILES = (1.0, 99.0)


class BackgroundParameters(Strict):
    """When a block is background by its intensities alone, and needs no prediction.

    One condition is enough; of several channels all must meet it.
    """

    min_deviation: Positive | None = Field(
        default=None, description="standard deviation of the intensities below which it is"
    )
    min_range: Positive | None = Field(
        default=None, description="distance of the percentiles 1 and 99 below which it is"
    )
    max_mean: float | None = Field(
        default=None, description="mean above which it is, as where light shines through a slide"
    )

    @model_validator(mode="after")
    def _has_a_condition(self) -> Self:
        if self.min_deviation is self.min_range is self.max_mean is None:
            raise InputError(
                "mask_export.large.background",
                "it has no condition",
                "Give min_deviation, min_range or max_mean",
            )
        return self

    def is_background(self, pixels: NDArray[np.generic]) -> bool:
        """Return whether a block is background.

        Args:
            pixels: `(height, width, channels)`, the intensities of the file, without context.
        """
        flat = np.asarray(pixels, pixels.dtype).reshape(-1, pixels.shape[2])
        if self.min_deviation is not None and flat.std(axis=0).max() < self.min_deviation:
            return True
        if self.max_mean is not None and flat.mean(axis=0).min() > self.max_mean:
            return True
        if self.min_range is None:
            return False
        low, high = np.percentile(flat, _PERCENTILES, axis=0)
        return bool((high - low).max() < self.min_range)
