"""Where the results of large images go."""

from dataclasses import dataclass
from pathlib import Path

from unetflow.inference.blockwise.assembly import check_target


@dataclass(frozen=True)
class ResultFolders:
    """Where labels and probabilities of large images go, whatever each image is called.

    Attributes:
        labels: The folder of the labels.
        probabilities: That of the probabilities.
        suffix: The ending of all of them, which decides the format: `.tif` or `.zarr`.

    Raises:
        InputError: The ending is another one.
    """

    labels: Path
    probabilities: Path
    suffix: str = ".tif"

    def __post_init__(self) -> None:
        check_target(self.label_of("x"))

    def label_of(self, name: str) -> Path:
        """Return where the label of an image goes."""
        return self.labels / f"{name}{self.suffix}"

    def probabilities_of(self, name: str) -> Path:
        """Return where the probabilities of an image go."""
        return self.probabilities / f"{name}{self.suffix}"
