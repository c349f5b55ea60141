"""How sure the numbers of a few images are, and whether two methods really differ."""

from unetflow.imaging.statistics.comparisons import DEFINITION, Comparison, compare_paired
from unetflow.imaging.statistics.intervals import confidence_interval

__all__ = ["DEFINITION", "Comparison", "compare_paired", "confidence_interval"]
