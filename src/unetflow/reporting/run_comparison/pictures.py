"""The images on which trainings disagree, with what each of them finds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from unetflow.core.types import Label
from unetflow.data.samples import Sample
from unetflow.reporting.run_comparison.runs import TrackedRun
from unetflow.visualization.overlays import PREDICTION_COLOUR, TRUTH_COLOUR, draw_label, to_picture
from unetflow.visualization.thumbnails import shrink_image, shrink_label, shrunk_shape, to_address

_EDGE = 260


@dataclass(frozen=True)
class RunPicture:
    """One picture on the page.

    Attributes:
        address: The picture as a data URI.
        text: What it shows.
    """

    address: str
    text: str


@dataclass(frozen=True)
class Row:
    """An image as it should be, and as each run has it.

    Attributes:
        id: The image.
        width: The pictures' width on the page, in pixels.
        height: Their height.
        pictures: The truth, then the prediction of each run that has kept its model.
    """

    id: str
    width: int
    height: int
    pictures: list[RunPicture] = field(default_factory=list)


def show_disputed(
    runs: Sequence[TrackedRun],
    labels: Sequence[str],
    samples: Mapping[str, Sample],
    scores: pd.DataFrame,
    classes: int,
) -> list[Row]:
    """Draw images with their truth and with the prediction of each run.

    One model and one image are held at a time.

    Args:
        runs: The runs.
        labels: The name of each.
        samples: The samples; one that is not there is passed over.
        scores: The Dice of the images, by id in the order in which they are shown, with a column
            for each label.
        classes: Number of classes.
    """
    rows = {}
    for sample_id in scores.index:
        if sample_id in samples:
            sample = samples[sample_id]
            height, width = shrunk_shape(sample.label.shape, _EDGE)
            row = rows[sample_id] = Row(sample_id, width, height)
            address = _draw(sample, sample.label, classes, TRUTH_COLOUR)
            row.pictures.append(RunPicture(address, "truth"))
    for run, label in zip(runs, labels, strict=True):
        if run.load_segment is None or not rows:
            continue
        segment = run.load_segment()
        for sample_id, row in rows.items():
            sample = samples[sample_id]
            address = _draw(sample, segment(sample.image), classes, PREDICTION_COLOUR)
            dice = scores.loc[sample_id, label]
            row.pictures.append(RunPicture(address, f"{label}: Dice {dice:.3f}"))
    return list(rows.values())


def _draw(sample: Sample, label: Label, classes: int, colour: tuple[int, int, int]) -> str:
    shape = shrunk_shape(sample.label.shape, _EDGE)
    picture = to_picture(shrink_image(sample.image, shape))
    return to_address(draw_label(picture, shrink_label(label, shape), classes, colour))
