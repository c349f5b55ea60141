"""Rendering of the HTML templates; all values are escaped."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from unetflow.reporting.html.wording import SPLIT_NAMES, count_of, percent


def render(name: str, context: dict[str, Any]) -> str:
    """Fill a template.

    Args:
        name: Its file in `reporting/html/templates`.
        context: Its variables; a missing one is an error.

    Returns:
        The text of an HTML page that needs no other file and no network.
    """
    environment = Environment(
        loader=PackageLoader("unetflow.reporting.html", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals = {"count_of": count_of, "percent": percent, "split_names": SPLIT_NAMES}
    return environment.get_template(name).render(context)
