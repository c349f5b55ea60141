"""Write the page only when something has changed: drawing it takes seconds."""

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from importlib import resources

import pandas as pd

from unetflow.data.samples import SampleFolder
from unetflow.reporting.data_report.page import write_data_report


def renew_data_report(
    before: str | None,
    table: pd.DataFrame,
    quarantine: pd.DataFrame,
    duplicates: pd.DataFrame,
    leaks: pd.DataFrame,
    samples: SampleFolder,
    classes: Sequence[str],
    title: str,
) -> str:
    """Return the page of before when it shows the same data, else write it anew.

    Args:
        before: The page of the last run; None where there is none.
        table: See `write_data_report`, as for all that follows.
        quarantine: The files that were left out.
        duplicates: Samples that seem to show the same.
        leaks: Samples that should be in one split and are not.
        samples: The samples.
        classes: The names of the classes.
        title: The page's title.

    Returns:
        The text of the page, whose last line has a digest of everything that decides what it
        shows: the tables, what is known of the samples, and the code that draws it.
    """
    digest = hashlib.sha256(_code_digest())
    digest.update(json.dumps([samples.descriptions, list(classes), title]).encode())
    for frame in (table, quarantine, duplicates, leaks):
        digest.update(repr([*frame.columns]).encode())
        digest.update(pd.util.hash_pandas_object(frame).to_numpy().tobytes())
    mark = f"<!-- data {digest.hexdigest()} -->\n"
    if before is not None and before.endswith(mark):
        return before
    page = write_data_report(table, quarantine, duplicates, leaks, samples, classes, title)
    return f"{page.rstrip()}\n{mark}"


@cache
def _code_digest() -> bytes:
    """Return a digest of the files that draw the page, so that none outlives its code."""
    html = resources.files("unetflow.reporting.html")
    folders = (html / "templates", html, resources.files(__package__))
    digest = hashlib.sha256()
    for folder in folders:
        for file in sorted(folder.iterdir(), key=lambda file: file.name):
            if file.name.endswith((".py", ".html")):
                digest.update(file.read_bytes())
    return digest.digest()
