"""Figures on a page: drawings without a display, as data URIs."""

import base64
import io
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.figure import Figure

BLUE, VERMILLION, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
ORANGE, SKY_BLUE, BLACK = "#e69f00", "#56b4e9", "#000000"
"""Okabe and Ito's palette keeps its colours apart for colour-blind readers."""


@dataclass(frozen=True)
class Chart:
    """A figure for the page.

    Attributes:
        address: The drawing itself, an SVG as a data URI.
        text: What it shows, for readers who cannot see it.
    """

    address: str
    text: str


def to_chart(figure: Figure, text: str) -> Chart:
    """Write a figure as SVG: sharp in print, small, and the same for the same data."""
    width, height = figure.get_size_inches()
    figure.subplots_adjust(  # the automatic layouts take as long as all the rest of the drawing
        left=0.75 / width, right=1 - 0.2 / width, bottom=0.5 / height, top=1 - 0.1 / height
    )
    buffer = io.BytesIO()
    unknown = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "unetflow"}):
        figure.savefig(buffer, format="svg", metadata=unknown)
    encoded = base64.b64encode(buffer.getvalue()).decode()
    return Chart(f"data:image/svg+xml;base64,{encoded}", text)
