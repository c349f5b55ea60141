"""The preset where nothing names one: by whether the data are the demo."""

import shutil
from types import SimpleNamespace

import psutil
import pytest
import yaml

from tests.conftest import ROOT
from unetflow.config.base import read_parameters
from unetflow.config.parameters import Parameters
from unetflow.settings import CONFIG_LOADER_ARGS, CONFIG_LOADER_CLASS

OWN = {"raw_pairs": {"type": "unetflow.datasets.SourceDataset", "path": "mine"}}


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Return what loads a configuration whose `conf/local` has these files, and the loader."""
    shutil.copytree(ROOT / "conf/base", tmp_path / "base")
    (tmp_path / "local").mkdir()
    memory = SimpleNamespace(available=10.3e9)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)

    def load(runtime_params=None, **files):
        for name, values in files.items():
            (tmp_path / f"local/{name}.yml").write_text(yaml.safe_dump(values))
        loader = CONFIG_LOADER_CLASS(
            str(tmp_path), runtime_params=runtime_params, **CONFIG_LOADER_ARGS
        )
        return read_parameters(Parameters, loader["parameters"]), loader

    return load


def test_own_data_are_planned_with_ten_minutes_and_three_quarters_of_the_free_memory(load):
    read, loader = load(catalog=OWN)
    assert (read.preset, read.model.depth, read.training.epochs) == ("planned", None, None)
    assert (read.budget.minutes, read.budget.memory_gb) == (10, 7.5)
    assert "`planned` with 10 minutes and 7.5 GB" in loader.chosen_preset


def test_the_demo_keeps_its_quick_preset_without_a_budget(load):
    read, loader = load()
    assert (read.preset, read.model.depth, read.training.epochs) == ("lean", 3, 40)
    assert (read.budget.minutes, read.budget.memory_gb) == (None, None)
    assert loader.chosen_preset == ""


def test_a_named_preset_is_taken_whatever_the_data_are(load):
    read, loader = load({"preset": "seed"}, catalog=OWN)
    assert (read.preset, read.model.depth, read.budget.minutes) == ("seed", 4, None)
    assert loader.chosen_preset == ""
    read, loader = load(catalog=OWN, globals={"preset": "lean"})
    assert (read.preset, read.model.depth, read.budget.minutes) == ("lean", 3, None)
    assert loader.chosen_preset == ""
    read, _ = load({"preset": "planned"}, catalog=OWN)
    assert (read.budget.minutes, read.budget.memory_gb) == (None, None)


def test_what_the_budget_grants_and_what_is_set_stays(load):
    given = {"budget": {"minutes": 25.0}, "training": {"epochs": 7}}
    read, _ = load(given, catalog=OWN)
    assert (read.budget.minutes, read.budget.memory_gb) == (25, 7.5)
    assert read.training.epochs == 7
    read, _ = load(catalog=OWN, parameters={"budget": {"memory_gb": 2.0}})
    assert (read.budget.minutes, read.budget.memory_gb) == (10, 2)
