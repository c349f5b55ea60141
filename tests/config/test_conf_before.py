"""Two folders `conf/local` of version 0.1.0, before parameters and datasets were renamed."""

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kedro.io import DataCatalog

from tests.conftest import ROOT
from unetflow.config.base import read_parameters
from unetflow.config.parameters import Parameters
from unetflow.config.renames import rename
from unetflow.config_loader import RenamingConfigLoader
from unetflow.core.errors import InputError
from unetflow.orchestration.configuration import read_configuration
from unetflow.settings import CONFIG_LOADER_ARGS

BEFORE = ROOT / "tests/data/before"
LOSSES = {
    "0.5*bce + dice": {"bce": 0.5, "dice": 1.0},
    "0.5*focal + tversky": {"focal": 0.5, "tversky": 1.0},
}
OLD = {
    "conf_local": {
        "construction",
        "ingestion.masks.threshold",
        "training.warmup_share",
        "training.foreground_share",
        "training.clip_norm",
        "training.moving_average",
        "training.memorise_crops",
        "evaluation.scores: thin",
        "evaluation.object_size_percentiles",
        "retraining.largest_fall",
        "mask_export.engine",
        "mask_export.runner",
        "mask_export.objects.neighbours",
        "mask_export.objects.seed_distance",
        "mask_export.objects.seed_height",
        "mask_export.large.from_pixels",
        "mask_export.large.background.least_deviation",
        "mask_export.large.background.least_range",
        "mask_export.large.background.greatest_mean",
    },
    "conf_local_more": {
        "construction",
        "training.warmup_share",
        "training.memorise_crops",
        "mask_export.engine",
        "mask_export.runner",
        "mask_export.large.from_pixels",
        "mask_export.large.background.greatest_mean",
    },
}
"""All old names in each folder."""


@pytest.fixture(params=OLD)
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "conf/base", tmp_path / "conf/base")
    shutil.copytree(BEFORE / request.param, tmp_path / "conf/local")
    return tmp_path


@pytest.fixture
def old(request: pytest.FixtureRequest, project: Path) -> set[str]:
    return OLD[request.node.callspec.params["project"]]


def load(project: Path) -> RenamingConfigLoader:
    return RenamingConfigLoader(str(project / "conf"), **CONFIG_LOADER_ARGS)


def leaves(values: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the name and the value of each parameter."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{path}{name}.")
        else:
            yield path + name, value


def find(values: Any, path: str) -> Any:
    for part in path.split("."):
        values = values[part]
    return values


def present_value(name: str, value: Any) -> Any:
    """Return what a value of the old files is now."""
    if name == "evaluation.scores":
        return ["centreline" if score == "thin" else score for score in value]
    if name == "evaluation.object_size_percentiles":
        return 0.01 if value else None
    return LOSSES[value] if name == "training.loss" else value


def plain(parameters: Parameters) -> dict[str, Any]:
    return parameters.model_dump(mode="json")


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if "still works" in r.getMessage()]


def test_each_old_name_is_read_with_one_warning_that_has_the_present_one(project, old, caplog):
    with caplog.at_level(logging.WARNING, logger="unetflow"):
        loader = load(project)
        for _ in range(2):
            read_parameters(Parameters, loader["parameters"])
    # The catalog, which is read for the default preset, has old names of its own.
    found = [text for text in messages(caplog) if text.startswith("The parameter ")]
    assert len(found) == len(old)
    for name in old:
        (message,) = (m for m in found if m.startswith(f"The parameter {name} is now called "))
        present = message.partition("is now called ")[2].partition(". ")[0]
        assert present != name


def test_every_parameter_has_the_value_that_the_file_gives_it(project):
    read = plain(read_parameters(Parameters, load(project)["parameters"]))
    written = yaml.safe_load((project / "conf/local/parameters.yml").read_text())
    for name, value in leaves(written):
        if name == "classes":
            continue
        assert find(read, rename(name)) == present_value(name, value), name


@pytest.mark.parametrize("project", ["conf_local_more"], indirect=True)
def test_old_names_in_presets_give_their_values(project):
    path = project / "conf/local/globals.yml"
    read = plain(read_parameters(Parameters, load(project)["parameters"]))
    given = dict(leaves(yaml.safe_load((project / "conf/local/parameters.yml").read_text())))
    for name, value in leaves(yaml.safe_load(path.read_text())["presets"]["seed"]):
        if name not in given:
            assert find(read, rename(name)) == present_value(name, value), name


def test_every_catalog_entry_becomes_a_dataset(project, caplog):
    with caplog.at_level(logging.WARNING, logger="unetflow"):
        entries = load(project)["catalog"]
    found = [message for message in messages(caplog) if "catalog" in message]
    catalog = DataCatalog.from_config(entries)
    written = yaml.safe_load((project / "conf/local/catalog.yml").read_text())
    for name in written:
        assert catalog.get(name) is not None
    renamed = {"SegmenterDataset", "LabelFileDataset"}
    text = (project / "conf/local/catalog.yml").read_text()
    assert len(found) == len([name for name in renamed if name in text])
    for message in found:
        assert "FileDataset, format: " in message


@pytest.mark.parametrize("project", ["conf_local_more"], indirect=True)
def test_the_settings_of_orchestration_are_read(project):
    written = project / "conf/local/orchestration.yml"
    configuration = read_configuration(project)
    assert configuration.orchestration.retries == yaml.safe_load(written.read_text())["retries"]


def test_a_name_that_never_existed_is_still_refused(project):
    path = project / "conf/local/parameters.yml"
    path.write_text(path.read_text() + "\nconstructor: {depth: 2}\n")
    with pytest.raises(InputError, match="constructor"):
        read_parameters(Parameters, load(project)["parameters"])
