"""Definition of a metric."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Definition:
    """Computation of a score for one class in one image.

    Attributes:
        formula: Formula with the meaning of its symbols and its source.
        empty: Value where the truth, the prediction or both are empty.
        ignored: Treatment of the pixels whose true label is 255.
    """

    formula: str
    empty: str
    ignored: str
