"""Properties of the whole project that no single module ensures."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from kedro.config import OmegaConfigLoader
from kedro.framework.project import configure_project

from unetflow.annotations.layouts.find_pairs import LAYOUTS, find_pairs
from unetflow.config.base import read_parameters
from unetflow.config.parameters import Parameters
from unetflow.config_loader import RenamingConfigLoader
from unetflow.core.errors import InputError
from unetflow.pipeline_registry import register_pipelines
from unetflow.settings import CONFIG_LOADER_ARGS

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src").rglob("*.py"))
LONG_FILES = {"inference/cluster.py"}  # all that this project knows of Dask is in one module
OF_THE_COMMAND_LINE = {".images", ".output", ".runs", ".segmenter", ".start_from"}
SLOW_IMPORTS = ("tensorflow", "keras", "mlflow", "matplotlib", "scipy.ndimage", "skimage.measure")
CATALOG = OmegaConfigLoader(str(ROOT / "conf"), env="local", **CONFIG_LOADER_ARGS)["catalog"]


def test_pipelines_are_registered_under_their_names():
    assert set(register_pipelines()) == {
        "__default__",
        "ingestion",
        "planning",
        "augmentation",
        "construction",
        "cross_validation",
        "training",
        "evaluation",
        "mask_export",
        "inference",
        "optimisation",
        "packaging",
        "comparison",
        "retraining",
        "rollback",
    }


def test_default_is_all_and_training_is_the_chain_up_to_evaluation():
    pipelines = register_pipelines()
    nodes = {name: {node.name for node in p.nodes} for name, p in pipelines.items()}
    others = {"__default__", "training", "cross_validation", "optimisation", "packaging"}
    others |= {"comparison", "retraining", "rollback"}
    assert set.union(*(nodes[name] for name in nodes.keys() - others)) <= nodes["__default__"]
    assert nodes["__default__"] - nodes["training"] == nodes["mask_export"]
    assert pipelines["training"].inputs() - {
        "raw_pairs",
        "training_log",
        "checkpoints",
        "samples_before",
        "object_targets_before",
        "plan_before",
        "weight_maps_before",
        "manifest_before",
        "start_model",
        "champion",
        "run_facts",
        "parameters",
    } == {name for name in pipelines["training"].inputs() if name.startswith("params:")}


def test_every_hand_over_is_a_catalog_entry_with_a_layer():
    used = set.union(*(pipeline.datasets() for pipeline in register_pipelines().values()))
    names = {name for name in used if ":" not in name}
    by_hooks = {"retraining_outcome"}
    assert names - {"parameters"} | by_hooks == set(CATALOG)
    for name, entry in CATALOG.items():
        assert entry["metadata"]["kedro-viz"]["layer"], name


@pytest.mark.process
def test_kedro_registry_list_imports_nothing_slow():
    code = (
        "import sys\n"
        "from kedro.framework.cli import main\n"
        "sys.argv = ['kedro', 'registry', 'list']\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        f"    print([name for name in {SLOW_IMPORTS} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT
    )
    assert "- mask_export" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_at_most_five_files_name_the_crop_size():
    naming = [path for path in SOURCES if "crop_size" in path.read_text(encoding="utf-8")]
    assert len(naming) <= 5, naming


def test_files_are_short():
    long = {
        str(path.relative_to(ROOT / "src/unetflow")): lines
        for path in SOURCES
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 300
    }
    assert long.keys() <= LONG_FILES, long


def test_every_parameter_of_a_file_is_a_field_and_every_field_stands_in_a_file():
    loader = RenamingConfigLoader(str(ROOT / "conf"), env="base", **CONFIG_LOADER_ARGS)
    values = loader["parameters"]
    parameters = read_parameters(Parameters, values).model_dump()
    assert find_names(parameters) - find_names(values) == OF_THE_COMMAND_LINE
    assert find_names(values) <= find_names(parameters)


def find_names(values: object, path: str = "") -> set[str]:
    """Return the names of all parameters in nested sections."""
    if not isinstance(values, dict):
        return {path}
    return set().union(*(find_names(value, f"{path}.{name}") for name, value in values.items()))


def test_the_package_runs_as_a_module(monkeypatch: pytest.MonkeyPatch):
    from unetflow.__main__ import main

    monkeypatch.setattr(sys, "argv", ["unetflow", "--help"])
    configure_project("unetflow")
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 0


def test_lock_file_holds_versions_only():
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    assert len(lines) > 100
    for line in lines:
        assert "==" in line
        assert "://" not in line


def _layouts_of_the_readme() -> list[str]:
    """Return the YAML that the table of the README gives for each folder."""
    table = (ROOT / "README.md").read_text().partition("| your folder | write |")[2]
    rows = [line.split(" | ")[-1] for line in table.partition("\n\n")[0].splitlines()[2:]]
    parts = [re.findall(r"`([^`]+)`", row.partition(";")[0]) for row in rows]
    return ["\n".join(row) for row in parts if row and row[0].startswith("layout:")]


@pytest.mark.parametrize("text", _layouts_of_the_readme())
def test_every_layout_accepts_its_options_in_the_readme(tmp_path, text):
    written = yaml.safe_load(text.replace("region_pattern:", ""))
    splits = written.pop("splits", None)
    (tmp_path / "other.txt").write_text("")
    # An option that does not exist is refused before the folder is looked at.
    with pytest.raises(InputError) as caught:
        find_pairs(tmp_path, written.pop("layout"), written, splits)
    assert "no such parameter" not in str(caught.value)
    assert "there is no layout" not in str(caught.value)


def test_the_readme_has_a_row_for_each_layout():
    named = {yaml.safe_load(text.splitlines()[0])["layout"] for text in _layouts_of_the_readme()}
    assert named == set(LAYOUTS)


@pytest.fixture
def _without_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start kernels with zeros: random numbers for millions of weights take a second."""
    import keras

    def zeros(initialiser, shape, dtype=None):
        return keras.ops.zeros(shape, dtype)

    monkeypatch.setattr(keras.initializers.HeNormal, "__call__", zeros)
    monkeypatch.setattr(keras.initializers.GlorotUniform, "__call__", zeros)


@pytest.mark.usefixtures("_without_chance")
def test_the_papers_preset_is_the_papers_network_and_recipe():
    from unetflow.models.unet import build_unet

    presets = yaml.safe_load((ROOT / "conf/base/globals_presets.yml").read_text())["presets"]
    model, training = presets["paper"]["model"], presets["paper"]["training"]
    assert model.pop("head") == "softmax"
    unet = build_unet((training["crop_size"],) * 2 + (1,), classes=2, **model)
    assert unet.count_params() == 31_030_658
    assert unet.output_shape == (None, 388, 388, 2)
    assert training["batch_size"] == 1
    assert (training["optimiser"], training["momentum"]) == ("sgd", 0.99)
    weights = training["weight_map"]
    assert (weights["border_weight"], weights["border_width"]) == (10, 5)
    assert presets["paper"]["augmentation"]["elastic_grid"] == 10


@pytest.mark.usefixtures("_without_chance")
def test_the_seeds_preset_is_the_default_network():
    from unetflow.models.unet import build_unet

    presets = yaml.safe_load((ROOT / "conf/base/globals_presets.yml").read_text())["presets"]
    model = presets["seed"]["model"]
    assert model.pop("head") == "auto"
    assert build_unet((None, None, 3), **model).count_params() == 31_055_297


def test_the_readme_names_every_preset():
    presets = yaml.safe_load((ROOT / "conf/base/globals_presets.yml").read_text())["presets"]
    table = (ROOT / "README.md").read_text().partition("| preset | network and training | for |")[2]
    rows = table.partition("\n\n")[0].splitlines()[2:]
    assert {row.split("`")[1] for row in rows} == set(presets)
