"""What has to be said of a score besides its value."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Definition:
    """How a score is computed for one class in one image.

    Attributes:
        formula: What it is, with the meaning of its letters and, where it has one, its source.
        empty: Its value where the truth, the prediction or both hold nothing.
        ignored: What becomes of the pixels whose true label is 255.
    """

    formula: str
    empty: str
    ignored: str
