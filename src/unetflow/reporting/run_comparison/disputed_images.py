"""Images on which runs disagree, with the prediction of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from unetflow.core.types import Label
from unetflow.data.samples import Sample
from unetflow.reporting.run_comparison.runs import TrackedRun
from unetflow.visualization.overlays import draw_label
from unetflow.visualization.palette import PREDICTION_COLOUR, TRUTH_COLOUR, Rgb
from unetflow.visualization.thumbnails import fit_shape, shrink_sample, to_address

_EDGE = 260


@dataclass(frozen=True)
class RunPicture:
    """One picture: its data URI and what it shows."""

    address: str
    text: str


@dataclass(frozen=True)
class DisputedImage:
    """An image with its truth and predictions.

    Attributes:
        id: The sample.
        width: Width of the pictures on the page, in pixels.
        height: Their height.
        pictures: The truth, then the prediction of each run that has a model.
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
) -> list[DisputedImage]:
    """Draw images with their truth and with the prediction of each run.

    One model and one image are held at a time.

    Args:
        runs: The runs.
        labels: The label of each.
        samples: The samples; missing ones are skipped.
        scores: The Dice of the images in their order on the page, with the id as index and a
            column for each label.
        classes: Number of classes.
    """
    shown = {}
    for sample_id in scores.index:
        if sample_id in samples:
            sample = samples[sample_id]
            height, width = fit_shape(sample.label.shape, _EDGE)
            shown[sample_id] = DisputedImage(sample_id, width, height)
            address = _draw(sample, sample.label, classes, TRUTH_COLOUR)
            shown[sample_id].pictures.append(RunPicture(address, "truth"))
    for run, label in zip(runs, labels, strict=True):
        if run.load_segment is None or not shown:
            continue
        segment = run.load_segment()
        for sample_id, image in shown.items():
            sample = samples[sample_id]
            address = _draw(sample, segment(sample.image), classes, PREDICTION_COLOUR)
            dice = scores.loc[sample_id, label]
            image.pictures.append(RunPicture(address, f"{label}: Dice {dice:.3f}"))
    return list(shown.values())


def _draw(sample: Sample, label: Label, classes: int, colour: Rgb) -> str:
    picture, (small,) = shrink_sample(sample, _EDGE, label)
    return to_address(draw_label(picture, small, classes, colour))
