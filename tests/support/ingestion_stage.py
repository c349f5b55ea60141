"""The stage `ingestion` on the catalog of conf/base, without a session of Kedro and MLflow.

Starting these costs many times what tiny images do. The data report is left out for the same
reason; tests that look at it, or at what a whole run prints, call `kedro run`.
"""

from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import yaml
from kedro.io import DataCatalog
from kedro.runner import SequentialRunner

from tests.conftest import ROOT
from unetflow.cli import _message_for
from unetflow.config.base import read_parameters
from unetflow.config.parameters import Parameters
from unetflow.config_loader import RenamingConfigLoader
from unetflow.pipelines.ingestion import create_pipeline
from unetflow.settings import CONFIG_LOADER_ARGS

Entry = dict[str, Any]


class Outcome(NamedTuple):
    """What a run of the stage came to, as its command would show it."""

    exit_code: int
    output: str


@cache
def _read_configuration() -> tuple[dict[str, Any], dict[str, Entry]]:
    """Return the parameters and the catalog of conf/base, which no test may change."""
    loader = RenamingConfigLoader(str(ROOT / "conf"), env="base", **CONFIG_LOADER_ARGS)
    return loader["parameters"], loader["catalog"]


def parameters_with(params: str = "", **sections: Any) -> Parameters:
    """Return the parameters after changes written as in `--params`, or in a parameter file."""
    values = deepcopy(_read_configuration()[0]) | sections
    for change in filter(None, params.split(",")):
        name, _, value = change.partition("=")
        *path, last = name.split(".")
        section = values
        for part in path:
            section = section[part]
        section[last] = yaml.safe_load(value)
    return read_parameters(Parameters, values)


def run_ingestion(project: Path, raw_pairs: Entry, params: str = "", **sections: Any) -> Outcome:
    """Run the stage in a project's folder, with the sources that an entry describes."""
    pipeline = create_pipeline()
    names = pipeline.inputs() | pipeline.all_outputs()
    entries = {**_read_configuration()[1], "raw_pairs": raw_pairs}
    try:
        parameters = parameters_with(params, **sections)
        catalog = DataCatalog.from_config(
            {name: _locate(entries[name], project) for name in names if name in entries}
        )
        for name in ("classes", "ingestion", "seed"):
            catalog[f"params:{name}"] = getattr(parameters, name)
        with patch("unetflow.pipelines.ingestion.write_data_report", return_value="none"):
            SequentialRunner().run(pipeline, catalog)
    except Exception as error:
        message = _message_for(error)
        if message is None:
            raise
        return Outcome(1, f"\nError: {message}\n")
    return Outcome(0, "")


def _locate(entry: Entry, project: Path) -> Entry:
    """Return an entry whose path lies in the project's folder, as Kedro makes it."""
    places = {name: str(project / entry[name]) for name in ("path", "filepath") if name in entry}
    return deepcopy(entry) | places
