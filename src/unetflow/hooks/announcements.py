"""Closing lines of a run: what a person wants to know, and where it is."""

import os
from typing import Any

import click
from kedro.framework.hooks import hook_impl

from unetflow.evaluation.headline import describe_scores
from unetflow.hooks.catalog_entries import CatalogHooks


class AnnouncementHooks(CatalogHooks):
    """Prints a line for each entry of the catalog whose metadata ask for one.

    `metadata: {unetflow: {announce: Report, line: 5}}` prints `Report: ` with the path of the entry
    once it has been saved, its scores where it holds scores, or the text itself where the entry has
    no path, in the order of `line`. A detected layout, and objects that were recognised in masks,
    are always printed, first.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lines: dict[tuple[int, str], str] = {}

    @hook_impl
    def before_pipeline_run(self) -> None:
        """Forget the lines of an earlier run."""
        self._lines = {}

    @hook_impl
    def after_dataset_loaded(self, data: Any) -> None:
        """Keep the layout that was detected in the raw data, whoever declares the entry."""
        detected = getattr(data, "detected_layout", "")
        if detected:
            self._lines[0, "Detected layout"] = detected

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Keep scores, path or text of what has been saved, and what was recognised in masks."""
        if detected := getattr(data, "detected_objects", ""):
            self._lines[0, "Detected objects"] = detected
        wanted = self._metadata_of(dataset_name, "unetflow")
        if "announce" not in wanted:
            return
        entry, key = self._entries[dataset_name], (wanted.get("line", 0), wanted["announce"])
        if "scores" in (data if isinstance(data, dict) else ()):
            self._lines[key] = describe_scores(data)
        elif path := entry.get("filepath") or entry.get("path"):
            self._lines[key] = os.path.relpath(path)
        else:
            self._lines[key] = str(data)

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Print the lines without the log, which breaks long ones."""
        click.echo("")
        for (_, label), text in sorted(self._lines.items()):
            click.echo(f"{label}: {text}")

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Print the lines so far; they tell where to look."""
        self.after_pipeline_run()
