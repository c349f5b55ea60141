"""Names of earlier versions in files, in presets and in `--params`."""

import logging
import shutil
from typing import get_args

import pytest
import yaml
from kedro.io import AbstractDataset

from tests.conftest import ROOT
from unetflow.config.base import read_parameters
from unetflow.config.parameters import Parameters
from unetflow.config.renames import (
    RENAMED,
    RENAMED_DATASETS,
    rename,
    rename_datasets,
    rename_parameters,
)
from unetflow.core.errors import InputError
from unetflow.settings import CONFIG_LOADER_ARGS, CONFIG_LOADER_CLASS


@pytest.fixture
def load(tmp_path, caplog):
    """Return what loads a configuration whose `conf/local` has these files."""
    shutil.copytree(ROOT / "conf/base", tmp_path / "base")
    (tmp_path / "local").mkdir()
    caplog.set_level(logging.WARNING, logger="unetflow")

    def load(runtime_params=None, **files):
        for name, values in files.items():
            (tmp_path / f"local/{name}.yml").write_text(yaml.safe_dump(values))
        loader = CONFIG_LOADER_CLASS(
            str(tmp_path), runtime_params=runtime_params, **CONFIG_LOADER_ARGS
        )
        for _ in range(2):
            read = read_parameters(Parameters, loader["parameters"])
        return read

    return load


def warned(caplog):
    return [record.getMessage() for record in caplog.records]


def test_old_names_in_a_file_win_over_conf_base_with_one_warning_each(load, caplog):
    read = load(parameters={"construction": {"depth": 2}, "training": {"warmup_share": 0.2}})
    assert (read.model.depth, read.model.base_filters) == (2, 16)
    assert read.training.warmup_fraction == 0.2
    assert warned(caplog) == [
        "The parameter construction is now called model. The old name still works; write the new "
        "one",
        "The parameter training.warmup_share is now called training.warmup_fraction. The old name "
        "still works; write the new one",
    ]


def test_old_names_in_a_preset_are_understood(load, caplog):
    lean = {"construction": {"depth": 2}, "training": {"warmup_share": 0.2}}
    read = load(globals={"presets": {"lean": lean}})
    assert (read.model.depth, read.training.warmup_fraction) == (2, 0.2)
    assert len(warned(caplog)) == 2


def test_a_file_may_refer_to_an_old_name_of_a_preset(load):
    text = "${globals:presets.seed.construction}"
    assert load(parameters={"construction": text}).model.base_filters == 64
    text = "${globals:presets.paper.training.warmup_share}"
    assert load(parameters={"training": {"warmup_fraction": text}}).training.warmup_fraction == 0


@pytest.mark.parametrize("name", ["model", "construction"])
def test_the_command_line_wins_over_old_names_in_a_file(load, name):
    read = load({name: {"depth": 3}}, parameters={"construction": {"depth": 2}})
    assert read.model.depth == 3


def test_the_parameter_model_of_an_inference_is_the_segmenter(load, caplog):
    read = load({"model": "models:/unetflow@champion"})
    assert read.segmenter == "models:/unetflow@champion"
    assert read.model.depth == 3
    assert len(warned(caplog)) == 1
    assert "model is now called segmenter" in warned(caplog)[0]


def test_old_values_are_renamed_where_they_stand_alone_or_in_a_list(load, caplog):
    read = load(parameters={"evaluation": {"scores": ["pixels", "thin"]}})
    assert read.evaluation.scores == ["pixels", "centreline"]
    assert len(warned(caplog)) == 1


@pytest.mark.parametrize(
    ("percentiles", "fraction"),
    [([0, 1, 5, 10], 0.01), ([0.5], 0.005), ([0], 0.0), ([], None), (None, None)],
)
def test_percentiles_of_object_sizes_become_the_fraction_that_may_be_lost(
    load, caplog, percentiles, fraction
):
    read = load(parameters={"evaluation": {"object_size_percentiles": percentiles}})
    assert read.evaluation.max_lost_objects == fraction
    (message,) = warned(caplog)
    present = "null" if fraction is None else fraction
    assert f"is now called evaluation.max_lost_objects: {present}. " in message


def test_percentiles_that_are_no_numbers_are_refused(load):
    with pytest.raises(InputError, match=r"evaluation\.max_lost_objects"):
        load(parameters={"evaluation": {"object_size_percentiles": ["small"]}})


@pytest.mark.parametrize(
    "files",
    [
        {"parameters": {"training": {"loss": {"focal": 0.5}}}},
        {"globals": {"presets": {"lean": {"training": {"loss": {"focal": 0.5}}}}}},
    ],
)
def test_a_loss_takes_the_place_of_the_presets(load, files):
    assert load(**files).training.loss == {"focal": 0.5}


def test_a_loss_on_the_command_line_takes_the_place_of_the_presets(load):
    assert load({"training": {"loss": {"focal": 0.5}}}).training.loss == {"focal": 0.5}


def test_every_old_name_becomes_one_that_there_is():
    for old, new in RENAMED.items():
        model = Parameters
        for part in rename(old).split("."):
            annotation = model.model_fields[part].annotation
            sections = [
                a for a in (annotation, *get_args(annotation)) if hasattr(a, "model_fields")
            ]
            model = sections[0] if sections else annotation
        assert rename(old) == new


def test_present_names_stay_as_they_are():
    parameters = {"model": {"depth": 3}, "training": {"loss": "bce"}}
    assert list(rename_parameters(parameters)) == []
    assert parameters == {"model": {"depth": 3}, "training": {"loss": "bce"}}


OLD_ENTRIES = {
    "BioimageioPackageDataset": {"filepath": "a.zip"},
    "ChampionAliasesDataset": {"registered_model": "unetflow"},
    "ChampionDataset": {"registered_model": "unetflow"},
    "ChampionRecordDataset": {"registered_model": "unetflow"},
    "ChosenSegmenterDataset": {"source": "a.keras"},
    "CocoFileDataset": {"filepath": "a.json"},
    "FoldLogDataset": {"bad_batch": "a.json"},
    "ImageFileDataset": {"filepath": "a.png"},
    "KerasModelDataset": {"filepath": "a.keras"},
    "LabelFileDataset": {"filepath": "a.tif"},
    "ProbabilityFileDataset": {"filepath": "a.tif"},
    "SegmenterDataset": {"filepath": "a.keras"},
    "StartModelDataset": {"source": None},
}


def test_every_renamed_class_is_among_the_old_entries():
    assert set(RENAMED_DATASETS) == set(OLD_ENTRIES) - {"ChampionDataset"}


@pytest.mark.parametrize("name", OLD_ENTRIES)
def test_an_entry_with_an_old_class_can_be_made(name):
    entry = {"type": f"unetflow.datasets.{name}", **OLD_ENTRIES[name]}
    renamed = list(rename_datasets(entry))
    assert len(renamed) == (name in RENAMED_DATASETS)
    AbstractDataset.from_config("entry", entry)
