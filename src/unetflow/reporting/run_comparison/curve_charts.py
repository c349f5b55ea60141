"""Learning curves of several trainings in one figure."""

from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING

from unetflow.reporting.run_comparison.runs import TrackedRun
from unetflow.visualization.figures import limit_ticks, new_figure
from unetflow.visualization.overlays import BLACK, BLUE, GREEN, ORANGE, PURPLE, VERMILLION

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, BLACK)
_STYLES = ("-", "--", "-.", ":")
_PANELS = {"val_dice": "validation Dice", "loss": "training loss"}


def draw_curves(runs: Sequence[TrackedRun], labels: Sequence[str]) -> "Figure":
    """Draw the validation Dice and the training loss of each run in its own colour and line style.

    Args:
        runs: The runs; those without a history have no curve.
        labels: The label of each.
    """
    figure = new_figure(8.6, 3.4)
    for axes, (column, name) in zip(figure.subplots(1, 2), _PANELS.items(), strict=True):
        styles = zip(runs, labels, cycle(_COLOURS), cycle(_STYLES), strict=False)
        for run, label, colour, style in styles:
            history = run.history
            if {"epoch", column} <= set(history.columns):
                look = {"color": colour, "ls": style, "label": label}
                mark = "o" if len(history) == 1 else None  # a single epoch makes no line
                axes.plot(history["epoch"], history[column], marker=mark, **look)
        axes.set(xlabel="epoch", ylabel=name)
        limit_ticks(axes.xaxis, integer=True)
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize=8)
    figure.subplots_adjust(wspace=0.25)
    return figure
