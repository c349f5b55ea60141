"""Calibration of probabilities: reliability, and the temperature that improves it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from unetflow.core.types import IGNORE, Label, Probabilities
from unetflow.inference.postprocessing import SMALLEST_PROBABILITY, apply_temperature

TEMPERATURES = (0.1, 10.0)
"""Bounds, since a network without any error would get a temperature of 0."""

DEFINITION = (
    "Of validation pixels, drawn alike from all images without ignored ones; the temperature was "
    "fitted on the same pixels. Of two classes the probability is the foreground's, and "
    "`share_true` the share of the bin's pixels that are foreground; of more it is that of the "
    "most probable class, and the share where this class is right. Expected calibration error: the "
    "mean of |share_true - mean_probability| over the bins, weighted by their pixels. Negative "
    "log likelihood: the mean of -log(probability of the true class), to the base e."
)


class PixelSample:
    """A uniform random sample of a fixed number of the counted pixels, or of all if they are fewer.

    Each pixel draws a random key, and those with the smallest keys are kept; this needs neither all
    pixels in memory nor their number in advance.
    """

    def __init__(self, size: int, random: np.random.Generator) -> None:
        self._size, self._random = size, random
        self._keys: NDArray[np.float64] = np.empty(0)
        self.truth: NDArray[np.uint8] = np.empty(0, np.uint8)
        self.probabilities: Probabilities = np.empty((0, 0), np.float32)
        """`(pixels, classes)`, also where the network gives the foreground's alone."""

    def add(self, truth: Label, probabilities: Probabilities) -> None:
        """Add the pixels of an image.

        Args:
            truth: `(height, width)` class indices; 255 is ignored.
            probabilities: `(height, width, classes)`, or 1 for the foreground's alone.
        """
        counted = truth != IGNORE
        keys = self._random.random(int(np.count_nonzero(counted)))
        chosen = np.argsort(keys)[: self._size]
        found = probabilities[counted][chosen]
        if found.shape[1] == 1:
            found = np.concatenate([1 - found, found], axis=1)
        if self._keys.size:
            found = np.concatenate([self.probabilities, found])
        together = np.concatenate([self._keys, keys[chosen]])
        kept = np.argsort(together)[: self._size]
        self._keys = together[kept]
        self.truth = np.concatenate([self.truth, truth[counted][chosen]])[kept]
        self.probabilities = found[kept]


@dataclass(frozen=True)
class Reliability:
    """Reliability curve: predicted and observed frequencies in bins of equal width from 0 to 1.

    `pixels` is the number of pixels of each bin; the frequencies are NaN in empty bins.
    """

    pixels: NDArray[np.int64]
    mean_probability: NDArray[np.float64]
    share_true: NDArray[np.float64]

    @property
    def expected_error(self) -> float:
        """Expected calibration error (Naeini et al. 2015, AAAI); see `DEFINITION`."""
        gaps = np.nan_to_num(np.abs(self.share_true - self.mean_probability))
        return float((gaps * self.pixels).sum() / max(self.pixels.sum(), 1))


def measure_reliability(
    probabilities: Probabilities, truth: NDArray[np.uint8], bins: int
) -> Reliability:
    """Compare probabilities `(pixels, classes)` with the true classes `(pixels,)`.

    The curve is that of the foreground for two classes, of the most probable class for more; a
    probability of 1 belongs to the last bin.
    """
    if probabilities.shape[1] == 2:
        stated, is_true = probabilities[:, 1], truth == 1
    else:
        stated, is_true = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    place = np.minimum((stated * bins).astype(np.intp), bins - 1)
    pixels = np.bincount(place, minlength=bins)
    sums = [np.bincount(place, weights=w, minlength=bins) for w in (stated, is_true)]
    means = [np.divide(s, pixels, out=np.full(bins, np.nan), where=pixels > 0) for s in sums]
    return Reliability(pixels.astype(np.int64), *means)


def fit_temperature(pixels: PixelSample) -> float:
    """Return the temperature in `TEMPERATURES` with the smallest negative log likelihood.

    Without any pixel it is 1, which changes nothing.
    """
    if not pixels.truth.size:
        return 1.0
    found = scipy.optimize.minimize_scalar(
        lambda log_temperature: log_loss(pixels, float(np.exp(log_temperature))),
        bounds=np.log(TEMPERATURES),
        method="bounded",
    )
    return float(np.exp(found.x))


def log_loss(pixels: PixelSample, temperature: float) -> float:
    """Return the mean negative log likelihood of the true classes at a temperature."""
    smallest = SMALLEST_PROBABILITY
    inner = np.clip(pixels.probabilities.astype(np.float64), smallest, 1 - smallest)
    scaled = np.log(inner) / temperature
    of_truth = np.take_along_axis(scaled, pixels.truth[:, np.newaxis].astype(np.intp), axis=1)[:, 0]
    return float(np.mean(scipy.special.logsumexp(scaled, axis=1) - of_truth))


def describe_calibration(pixels: PixelSample, temperature: float, bins: int) -> dict[str, Any]:
    """Describe the calibration before and after the temperature, in plain values.

    These are `temperature`, `pixels`, `definition`, and under `before` and `after`
    `expected_calibration_error`, `negative_log_likelihood` and a list of `bins`.
    """
    count = len(pixels.truth)
    described: dict[str, Any] = {"temperature": temperature, "pixels": count}
    described["definition"] = DEFINITION
    if not count:
        return described
    for name, applied in (("before", 1.0), ("after", temperature)):
        calibrated = apply_temperature(pixels.probabilities, applied)
        curve = measure_reliability(calibrated, pixels.truth, bins)
        described[name] = {
            "expected_calibration_error": curve.expected_error,
            "negative_log_likelihood": log_loss(pixels, applied),
            "bins": [
                {
                    "from": number / bins,
                    "to": (number + 1) / bins,
                    "pixels": count,
                    "mean_probability": float(curve.mean_probability[number]) if count else None,
                    "share_true": float(curve.share_true[number]) if count else None,
                }
                for number, count in enumerate(curve.pixels.tolist())
            ],
        }
    return described
