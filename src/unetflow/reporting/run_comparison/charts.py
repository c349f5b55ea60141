"""The learning curves of several trainings in one figure."""

from collections.abc import Sequence
from itertools import cycle

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from unetflow.reporting.html.charts import BLACK, BLUE, GREEN, ORANGE, PURPLE, VERMILLION
from unetflow.reporting.run_comparison.runs import TrackedRun

_COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, BLACK)
_STYLES = ("-", "--", "-.", ":")
_PANELS = {"val_dice": "Dice of validation", "loss": "loss of training"}


def draw_curves(runs: Sequence[TrackedRun], labels: Sequence[str]) -> Figure:
    """Draw the validation Dice and the training loss of each run, told apart by colour and dashes.

    Args:
        runs: The runs; those without a history have no curve.
        labels: The name of each.
    """
    figure = Figure(figsize=(8.6, 3.4))
    for axes, (column, name) in zip(figure.subplots(1, 2), _PANELS.items(), strict=True):
        looks = zip(runs, labels, cycle(_COLOURS), cycle(_STYLES), strict=False)
        for run, label, colour, style in looks:
            if {"epoch", column} <= set(run.history.columns):
                history = run.history
                # A single epoch makes no line.
                mark = "o" if len(history) == 1 else None
                axes.plot(
                    history["epoch"], history[column], color=colour, ls=style, marker=mark,
                    label=label,
                )  # fmt: skip
        axes.set(xlabel="epoch", ylabel=name)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize=8)
    figure.subplots_adjust(wspace=0.25)
    return figure
