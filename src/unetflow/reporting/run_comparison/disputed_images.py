"""Images on which runs disagree, with the prediction of each."""

from collections.abc import Mapping, Sequence

import pandas as pd

from unetflow.core.types import Label
from unetflow.data.samples import Sample
from unetflow.reporting.html.elements import PagePicture
from unetflow.reporting.run_comparison.runs import TrackedRun
from unetflow.visualization.overlays import (
    PREDICTION_COLOUR,
    TRUTH_COLOUR,
    Rgb,
    draw_label,
    fit_shape,
    shrink_sample,
    to_address,
)

_EDGE = 260


def show_disputed(
    runs: Sequence[TrackedRun],
    labels: Sequence[str],
    samples: Mapping[str, Sample],
    scores: pd.DataFrame,
    classes: int,
) -> dict[str, list[PagePicture]]:
    """Draw images with their truth and with the prediction of each run that has a model.

    One model and one image are held at a time.

    Args:
        runs: The runs.
        labels: The label of each.
        samples: The samples; missing ones are skipped.
        scores: The Dice of the images in their order on the page, with the id as index and a
            column for each label.
        classes: Number of classes.

    Returns:
        The pictures of each image: the truth, then the predictions.
    """
    shown: dict[str, list[PagePicture]] = {}
    for sample_id in map(str, scores.index):
        if sample_id in samples:
            sample = samples[sample_id]
            truth = _draw(sample_id, sample, sample.label, classes, TRUTH_COLOUR, "truth")
            shown[sample_id] = [truth]
    for run, label in zip(runs, labels, strict=True):
        if run.load_segment is None or not shown:
            continue
        segment = run.load_segment()
        for sample_id, pictures in shown.items():
            sample = samples[sample_id]
            found, dice = segment(sample.image), scores[label][sample_id]
            text = f"{label}: Dice {dice:.3f}"
            pictures.append(_draw(sample_id, sample, found, classes, PREDICTION_COLOUR, text))
    return shown


def _draw(
    sample_id: str, sample: Sample, label: Label, classes: int, colour: Rgb, caption: str
) -> PagePicture:
    picture, (small,) = shrink_sample(sample, _EDGE, label)
    height, width = fit_shape(sample.label.shape, _EDGE)
    address = to_address(draw_label(picture, small, classes, colour))
    return PagePicture(address, [caption], width, height, f"{sample_id}, {caption}")
