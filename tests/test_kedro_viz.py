"""The pipelines in the browser, as Kedro-Viz builds them from a finished project."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from unetflow.pipeline_registry import register_pipelines

ROOT = Path(__file__).parent.parent
LAYERS = [
    "raw",
    "intermediate",
    "primary",
    "model_input",
    "feature",
    "models",
    "model_output",
    "reporting",
]
pytestmark = [pytest.mark.slow, pytest.mark.process, pytest.mark.xdist_group("finished")]


@pytest.fixture(scope="module")
def api(finished, tmp_path_factory) -> Path:
    """Build the site, offline and without telemetry, and return the folder of its data."""
    project = shutil.copytree(finished[0], tmp_path_factory.mktemp("viz") / "project")
    shutil.copy(ROOT / "pyproject.toml", project)
    (project / "src").mkdir()  # Kedro requires it
    nowhere = "http://127.0.0.1:9"
    proxies = {"http_proxy": nowhere, "https_proxy": nowhere}
    environment = {**os.environ, **proxies, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-m", "kedro", "viz", "build", "--include-previews"]
    done = subprocess.run(
        command,
        check=False,
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "Success!" in done.stdout, done.stdout + done.stderr
    return project / "build/api"


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def layers_by_pipeline(api: Path) -> dict[str, list[str]]:
    found = [read(path) for path in (api / "pipelines").iterdir()]
    return {one["selected_pipeline"]: one["layers"] for one in found}


def test_layers_are_in_the_order_of_the_data_in_every_pipeline(api):
    assert read(api / "main")["layers"] == LAYERS
    layers = layers_by_pipeline(api)
    assert layers.keys() == register_pipelines().keys()
    assert all(layers.values())  # none where they depend on each other in a circle
    for name in ("training", "retraining"):
        assert layers[name] == LAYERS


def test_each_stage_is_one_box(api):
    shown = read(api / "main")["modular_pipelines"]
    stages = {
        "ingestion",
        "planning",
        "augmentation",
        "construction",
        "training",
        "evaluation",
        "mask_export",
    }
    assert shown.keys() == stages | {"__root__"}
    on_top = {child["id"] for child in shown["__root__"]["children"]}
    nodes = {node["id"]: node for node in read(api / "main")["nodes"]}
    assert not [nodes[i]["name"] for i in on_top - stages if nodes[i]["type"] == "task"]


def test_entries_show_their_own_type_and_a_preview(api):
    nodes = {n["name"]: n for n in read(api / "main")["nodes"] if n["type"] == "data"}
    kinds = {
        "history": ("pandas.csv_dataset.CSVDataset", "TablePreview"),
        "manifest": ("pandas.parquet_dataset.ParquetDataset", "TablePreview"),
        "gallery": ("matplotlib.matplotlib_dataset.MatplotlibDataset", "ImagePreview"),
        "metrics": ("json.json_dataset.JSONDataset", "JSONPreview"),
        "augmentation_policy": ("yaml.yaml_dataset.YAMLDataset", "JSONPreview"),
    }
    for name, (kind, preview) in kinds.items():
        assert nodes[name]["dataset_type"] == kind
        shown = read(api / "nodes" / nodes[name]["id"])
        assert shown["preview_type"] == preview
        assert shown["preview"], name
