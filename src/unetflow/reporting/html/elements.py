"""Elements of the pages: tables, findings, pictures and charts."""

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WRONG, DOUBTFUL, FINE = "wrong", "doubtful", "fine"


@dataclass(frozen=True)
class Table:
    """A table of formatted cells.

    Attributes:
        columns: Column headings.
        rows: The cells.
        words: Number of columns, from the left, that hold text; the others hold numbers.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int = 1


@dataclass(frozen=True)
class Finding:
    """One sentence about the data or the model.

    Attributes:
        level: "wrong", "doubtful" or "fine".
        text: What was found.
        fix: What to do about it; empty where nothing needs to be done.
        section: Id of the page's section with the details.
    """

    level: str
    text: str
    fix: str
    section: str


@dataclass(frozen=True)
class PagePicture:
    """A picture of a sample.

    Attributes:
        address: The picture as a data URI.
        caption: Lines of its caption; the first one names the sample.
        width: Width on the screen.
        height: Height on the screen.
        text: Alternative text for readers who cannot see it.
        enlarged: Whether the screen shows the image enlarged.
    """

    address: str
    caption: Sequence[str]
    width: int
    height: int
    text: str = ""
    enlarged: bool = False


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Sort findings by their level."""
    return sorted(findings, key=lambda finding: (WRONG, DOUBTFUL, FINE).index(finding.level))


@dataclass(frozen=True)
class Chart:
    """A figure of the page.

    Attributes:
        address: The drawing, an SVG as a data URI.
        text: Alternative text for readers who cannot see it.
    """

    address: str
    text: str


def to_chart(figure: "Figure", text: str) -> Chart:
    """Write a figure as SVG; the same data give the same bytes."""
    import matplotlib as mpl

    width, height = figure.get_size_inches()
    figure.subplots_adjust(  # matplotlib's automatic layouts take as long as the drawing
        left=0.75 / width, right=1 - 0.2 / width, bottom=0.5 / height, top=1 - 0.1 / height
    )
    buffer = io.BytesIO()
    unknown = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "unetflow"}):
        figure.savefig(buffer, format="svg", metadata=unknown)
    encoded = base64.b64encode(buffer.getvalue()).decode()
    return Chart(f"data:image/svg+xml;base64,{encoded}", text)
