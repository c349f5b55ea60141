"""Figures for people, drawn without a display."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from unetflow.augmentation.crops import draw_crop
from unetflow.augmentation.policy import Augmenter
from unetflow.core.rng import generator_for
from unetflow.core.types import IGNORE, Label
from unetflow.data.intensity import IntensityRange, normalise
from unetflow.data.samples import Sample
from unetflow.visualization.overlays import (
    PREDICTION_COLOUR,
    TRUTH_COLOUR,
    draw_label,
    draw_outline,
    paint_classes,
    show_channels,
    to_picture,
)


@dataclass(frozen=True)
class Specimen:
    """One image of the gallery with its truth, its prediction, and the champion's if there is one.

    Either all specimens of a gallery have one or none.
    """

    title: str
    image: NDArray[np.generic]
    truth: Label
    prediction: Label
    champion: Label | None = None


def draw_learning_curve(history: pd.DataFrame) -> Figure:
    """Draw loss and Dice of training crops and whole validation images over the epochs."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), ("loss", "dice"), strict=True):
        axes.plot(history["epoch"], history[name], color="#0072b2", label="training crops")
        axes.plot(
            history["epoch"], history[f"val_{name}"], color="#d55e00", ls="--", label="validation"
        )
        axes.set(xlabel="epoch", ylabel={"loss": "loss", "dice": "Dice"}[name])
        axes.grid(alpha=0.3)
        axes.legend()
    best = history.iloc[int(history["val_dice"].argmax())]
    figure.suptitle(
        f"Best validation Dice {best['val_dice']:.3f} in epoch {best['epoch']:.0f}: "
        "the weights that were kept"
    )
    return figure


def draw_augmentation_preview(
    samples: Mapping[str, Sample],
    augmenter: Augmenter,
    intensity: IntensityRange,
    crop_size: int,
    seed: int,
) -> Figure:
    """Draw some crops as they are (first column) and as augmentation changes them."""
    columns = 6
    figure = Figure(figsize=(2 * columns, 2.1 * len(samples)), layout="constrained")
    grid = figure.subplots(len(samples), columns, squeeze=False)
    for row, (sample_id, sample) in zip(grid, samples.items(), strict=True):
        crop = draw_crop(sample, crop_size, generator_for(seed, "preview", sample_id))
        image = normalise(crop.image, intensity)
        for number, axes in enumerate(row):
            changed = augmenter(image, crop.label, seed + number) if number else (image, crop.label)
            picture = show_channels((changed[0] * 255).astype(np.uint8))
            axes.imshow(draw_outline(picture, changed[1], TRUTH_COLOUR))
            axes.set_axis_off()
        row[0].set_title(sample_id, fontsize=9)
    figure.suptitle("Training crops: as they are (left), and augmented, with the label's outline")
    return figure


def draw_gallery(specimens: Sequence[Specimen], classes: Sequence[str]) -> Figure:
    """Draw each specimen several times: the image, with its truth, with each prediction.

    Args:
        specimens: What to draw, from top to bottom.
        classes: The names of the classes. Two are told apart by an outline, more by their colours,
            which a legend explains.
    """
    columns = 3 if all(s.champion is None for s in specimens) else 4
    heights = [3.0 * s.image.shape[0] / s.image.shape[1] + 0.3 for s in specimens]
    figure = Figure(figsize=(0.5 + 3 * columns, sum(heights)), layout="constrained")
    grid = figure.subplots(len(specimens), columns, squeeze=False, height_ratios=heights)
    for row, specimen in zip(grid, specimens, strict=True):
        picture = to_picture(specimen.image)
        drawn = {
            specimen.title: picture,
            "truth": draw_label(picture, specimen.truth, len(classes), TRUTH_COLOUR),
        }
        if specimen.champion is not None:
            drawn["champion"] = draw_label(
                picture,
                _where_it_counts(specimen.champion, specimen.truth),
                len(classes),
                PREDICTION_COLOUR,
            )
        drawn["prediction"] = draw_label(
            picture,
            _where_it_counts(specimen.prediction, specimen.truth),
            len(classes),
            PREDICTION_COLOUR,
        )
        for axes, (title, content) in zip(row, drawn.items(), strict=True):
            axes.imshow(content)
            axes.set_title(title, fontsize=9)
            axes.set_axis_off()
    if len(classes) > 2:
        colours = paint_classes(np.arange(len(classes), dtype=np.uint8)[np.newaxis])[0] / 255
        marks = [Patch(color=c, label=n) for c, n in zip(colours[1:], classes[1:], strict=True)]
        figure.legend(handles=marks, loc="outside lower center", ncols=5, fontsize=8)
    return figure


def _where_it_counts(found: Label, truth: Label) -> Label:
    """Ignore in a prediction what no score looks at, such as specks outside a field of view."""
    return np.where(truth == IGNORE, np.uint8(IGNORE), found)
