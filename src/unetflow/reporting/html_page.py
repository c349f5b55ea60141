"""HTML pages from templates, with the format of numbers, names, charts and pictures on them."""

import base64
import io
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SPLIT_NAMES = {"train": "training", "validation": "validation", "test": "test"}

_DEPTHS = {"uint8": "8 bit", "uint16": "16 bit", "float32": "32-bit float"}


@dataclass(frozen=True)
class PagePicture:
    """A picture: its data URI, caption, size on the screen, and text for who cannot see it."""

    address: str
    caption: Sequence[str]
    height: int
    width: int
    text: str = ""
    enlarged: bool = False


def render(name: str, context: dict[str, Any]) -> str:
    """Fill a template; all values are escaped.

    Args:
        name: Its file in `reporting/templates`.
        context: Its variables; a missing one is an error.

    Returns:
        The text of an HTML page that needs no other file and no network.
    """
    return _environment().get_template(name).render(context)


@cache
def _environment() -> Environment:
    """Return what compiles the templates, which takes longer than to fill them: each once."""
    environment = Environment(
        loader=PackageLoader("unetflow.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    functions = (decimals, listing, percent, to_svg, worst_first)
    environment.filters |= {function.__name__: function for function in functions}
    environment.globals["count_of"] = count_of
    return environment


def worst_first(items: str) -> str:
    """Sort the list items of findings, whose class is their level."""
    levels = ("wrong", "doubtful", "fine")
    found = [re.findall(f'<li class="{level}">.*?</li>', items, re.DOTALL) for level in levels]
    return "\n".join(itertools.chain.from_iterable(found))


def to_svg(figure: "Figure") -> str:
    """Write a figure as the data URI of an SVG; the same data give the same bytes."""
    import matplotlib as mpl

    width, height = figure.get_size_inches()
    figure.subplots_adjust(  # matplotlib's automatic layouts take as long as the drawing
        left=0.75 / width, right=1 - 0.2 / width, bottom=0.5 / height, top=1 - 0.1 / height
    )
    buffer = io.BytesIO()
    unknown = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "unetflow"}):
        figure.savefig(buffer, format="svg", metadata=unknown)
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()


def count_of(number: int, one: str, many: str = "") -> str:
    """Format a number with its noun: "1 image", "1,234 images"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def decimals(value: Any, missing: str = "-") -> str:
    """Format floats with three decimals, missing values as `missing`, and others as they are."""
    if isinstance(value, str):
        return value
    if value is None or pd.isna(value):
        return missing
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def percent(share: float) -> str:
    """Format a fraction as a percentage; small ones keep two digits: "78.0 %", "0.023 %"."""
    if share == 0:
        return "0 %"
    if share < 1e-5:
        return "under 0.001 %"
    return f"{100 * share:.1f} %" if share >= 0.0095 else f"{100 * share:.2g} %"


def depth(dtype: str) -> str:
    """Format the bit depth of a dtype."""
    return _DEPTHS.get(dtype, dtype)


def data_size(size: int) -> str:
    """Format a number of bytes in a suitable unit."""
    value, unit = float(size), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:,.0f} {unit}" if unit == "bytes" or value >= 100 else f"{value:.1f} {unit}"


def listing(names: Sequence[str], most: int = 5) -> str:
    """Join the first names: "a, b and 3 more"."""
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
