"""Which blocks hold nothing but background, and need no prediction."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unetflow.core.errors import InputError


@dataclass(frozen=True)
class BackgroundRule:
    """When a block is taken for background by its intensities alone.

    One condition that is declared and met is enough; of several channels all must meet it.

    Attributes:
        least_deviation: A standard deviation below this is background.
        least_range: A distance between the two percentiles below this is background.
        greatest_mean: A mean above this is background, as where light shines through a slide.
        percentiles: The two percentiles.

    Raises:
        InputError: No condition is declared, or the percentiles are none.
    """

    least_deviation: float | None = None
    least_range: float | None = None
    greatest_mean: float | None = None
    percentiles: tuple[float, float] = (1.0, 99.0)

    def __post_init__(self) -> None:
        if self.least_deviation is self.least_range is self.greatest_mean is None:
            raise InputError(
                "background rule",
                "it declares no condition",
                "Give least_deviation, least_range or greatest_mean",
            )
        low, high = self.percentiles
        if not 0 <= low < high <= 100:
            raise InputError(
                "percentiles", f"{low} and {high} are none in rising order", "Use such as 1 and 99"
            )

    def is_background(self, pixels: NDArray[np.generic]) -> bool:
        """Tell whether a block is background.

        Args:
            pixels: `(height, width, channels)`, the intensities of the file, without context.
        """
        flat = np.asarray(pixels, pixels.dtype).reshape(-1, pixels.shape[2])
        if self.least_deviation is not None and flat.std(axis=0).max() < self.least_deviation:
            return True
        if self.greatest_mean is not None and flat.mean(axis=0).min() > self.greatest_mean:
            return True
        if self.least_range is None:
            return False
        low, high = np.percentile(flat, self.percentiles, axis=0)
        return bool((high - low).max() < self.least_range)
