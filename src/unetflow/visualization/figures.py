"""Figures of matplotlib, drawn without a display."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unetflow.augmentation.crops import draw_crop
from unetflow.augmentation.policy import Augmenter
from unetflow.core.hashing import generator_for
from unetflow.core.types import IGNORE, Label, PixelArray
from unetflow.data.intensity import IntensityRange, normalise
from unetflow.data.samples import Sample
from unetflow.metrics.epochs import find_best_epoch
from unetflow.visualization.overlays import (
    BLUE,
    PREDICTION_COLOUR,
    TRUTH_COLOUR,
    VERMILLION,
    Picture,
    draw_label,
    draw_outline,
    paint_classes,
    show_channels,
    to_picture,
)

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

_PREVIEW_COLUMNS = 6


def new_figure(width: float, height: float, **options: Any) -> "Figure":
    """Return an empty figure, its size in inches; `options` are those of matplotlib's `Figure`.

    It is imported here, since that takes a quarter of a second.
    """
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), **options)


def limit_ticks(axis: "Axis", most: int = 10, *, integer: bool = False) -> None:
    """Limit an axis to a number of intervals between ticks, at integers only if asked for."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(most, integer=integer))


@dataclass(frozen=True)
class Specimen:
    """One image of the gallery with its truth and predictions.

    Either all specimens of a gallery have a champion's prediction or none has. Of each mask, the
    numbers of its objects follow, `(height, width)`; None where they are unknown.
    """

    title: str
    image: PixelArray
    truth: Label
    prediction: Label
    champion: Label | None = None
    true_objects: NDArray[np.unsignedinteger] | None = None
    found_objects: NDArray[np.unsignedinteger] | None = None
    champion_objects: NDArray[np.unsignedinteger] | None = None


def draw_learning_curve(history: pd.DataFrame) -> "Figure":
    """Draw loss and Dice of training crops and whole validation images over the epochs."""
    figure = new_figure(9, 3.6, layout="constrained")
    epochs = history["epoch"]
    for axes, name, label in zip(
        figure.subplots(1, 2), ("loss", "dice"), ("loss", "Dice"), strict=True
    ):
        axes.plot(epochs, history[name], color=BLUE, label="training crops")
        axes.plot(epochs, history[f"val_{name}"], color=VERMILLION, ls="--", label="validation")
        axes.set(xlabel="epoch", ylabel=label)
        axes.grid(alpha=0.3)
        axes.legend()
    best = history.iloc[find_best_epoch(history)]
    name, score = ("loss", "val_loss") if np.isnan(best["val_dice"]) else ("Dice", "val_dice")
    figure.suptitle(
        f"Best validation {name} {best[score]:.3f} in epoch {best['epoch']:.0f}: "
        "the weights that were kept"
    )
    return figure


def draw_augmentation_preview(
    samples: Mapping[str, Sample],
    augmenter: Augmenter,
    intensity: IntensityRange,
    size: int,
    seed: int,
) -> "Figure":
    """Draw some crops without augmentation (first column) and with it."""
    figure = new_figure(2 * _PREVIEW_COLUMNS, 2.1 * len(samples), layout="constrained")
    grid = figure.subplots(len(samples), _PREVIEW_COLUMNS, squeeze=False)
    for row, (sample_id, sample) in zip(grid, samples.items(), strict=True):
        crop = draw_crop(sample, size, generator_for(seed, "preview", sample_id))
        image = normalise(crop.image, intensity)
        for number, axes in enumerate(row):
            changed = augmenter(image, crop.label, seed + number) if number else (image, crop.label)
            picture = show_channels((changed[0] * 255).astype(np.uint8))
            axes.imshow(draw_outline(picture, changed[1], TRUTH_COLOUR))
            axes.set_axis_off()
        row[0].set_title(sample_id, fontsize=9)
    figure.suptitle("Training crops: as they are (left), and augmented, with the label's outline")
    return figure


def draw_gallery(specimens: Sequence[Specimen], classes: Sequence[str]) -> "Figure":
    """Draw each specimen in a row: the image, then with its truth and with each prediction.

    Two classes are distinguished by an outline, more by colours with a legend of their names. Where
    the numbers of objects are known, each object has its own outline.
    """
    columns = 3 if all(s.champion is None for s in specimens) else 4
    heights = [3.0 * s.image.shape[0] / s.image.shape[1] + 0.3 for s in specimens]
    figure = new_figure(0.5 + 3 * columns, sum(heights), layout="constrained")
    grid = figure.subplots(len(specimens), columns, squeeze=False, height_ratios=heights)
    for row, specimen in zip(grid, specimens, strict=True):
        drawn = _draw_specimen(specimen, len(classes))
        for axes, (title, content) in zip(row, drawn.items(), strict=True):
            axes.imshow(content)
            axes.set_title(title, fontsize=9)
            axes.set_axis_off()
    if len(classes) > 2:
        from matplotlib.patches import Patch

        colours = paint_classes(np.arange(len(classes), dtype=np.uint8)[np.newaxis])[0] / 255
        marks = [Patch(color=c, label=n) for c, n in zip(colours[1:], classes[1:], strict=True)]
        figure.legend(handles=marks, loc="outside lower center", ncols=5, fontsize=8)
    return figure


def _draw_specimen(specimen: Specimen, classes: int) -> dict[str, Picture]:
    """Return the pictures of a specimen by their titles."""
    picture, ignored = to_picture(specimen.image), specimen.truth == IGNORE
    masks = {
        "truth": (specimen.truth, specimen.true_objects, TRUTH_COLOUR),
        "champion": (specimen.champion, specimen.champion_objects, PREDICTION_COLOUR),
        "prediction": (specimen.prediction, specimen.found_objects, PREDICTION_COLOUR),
    }
    drawn = {specimen.title: picture}
    for title, (label, numbers, colour) in masks.items():
        if label is not None:
            # Scores ignore these pixels, for example specks outside a field of view.
            counted = np.where(ignored, np.uint8(IGNORE), label)
            own = None if numbers is None else np.where(ignored, 0, numbers)
            drawn[title] = draw_label(picture, counted, classes, colour, own)
    return drawn
