"""Closing lines of a run: what a person wants to know, and where it is."""

import os
from typing import Any

import click
from kedro.framework.hooks import hook_impl

from unetflow.evaluation.headline import describe_scores


class AnnouncementHooks:
    """Prints a line for each entry of the catalog whose metadata ask for one.

    `metadata: {unetflow: {announce: Report}}` prints `Report: ` with the path of the entry once it
    has been saved, or its scores where it holds scores. A detected layout is always printed.
    """

    def __init__(self) -> None:
        self._entries: dict[str, dict[str, Any]] = {}
        self._lines: dict[str, str] = {}

    @hook_impl
    def after_catalog_created(self, conf_catalog: dict[str, Any]) -> None:
        """Keep the catalog's metadata."""
        self._entries = conf_catalog

    @hook_impl
    def before_pipeline_run(self) -> None:
        """Forget the lines of an earlier run."""
        self._lines = {}

    @hook_impl
    def after_dataset_loaded(self, data: Any) -> None:
        """Keep the layout that was detected in the raw data, whoever declares the entry."""
        detected = getattr(data, "detected_layout", "")
        if detected:
            self._lines["Detected layout"] = detected

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Keep the scores or the path of what has been saved."""
        label = self._label_of(dataset_name)
        if label is None:
            return
        entry = self._entries[dataset_name]
        if "scores" in (data if isinstance(data, dict) else ()):
            self._lines[label] = describe_scores(data)
        elif path := entry.get("filepath") or entry.get("path"):
            self._lines[label] = os.path.relpath(path)

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Print the lines."""
        self._print()

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Print the lines so far; they tell where to look."""
        self._print()

    def _label_of(self, dataset_name: str) -> str | None:
        metadata = self._entries.get(dataset_name, {}).get("metadata") or {}
        label: str | None = metadata.get("unetflow", {}).get("announce")
        return label

    def _print(self) -> None:
        """Print without the log, which breaks long lines."""
        click.echo("")
        for label, text in self._lines.items():
            click.echo(f"{label}: {text}")
