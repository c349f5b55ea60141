"""Promises of the house that no single module keeps."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from kedro.framework.project import configure_project

from unetflow.pipeline_registry import register_pipelines

ROOT = Path(__file__).parent.parent
CATALOG = yaml.safe_load((ROOT / "conf/base/catalog.yml").read_text())


def test_pipelines_are_registered_under_their_names():
    assert set(register_pipelines()) == {
        "__default__",
        "ingestion",
        "augmentation",
        "construction",
        "training",
        "evaluation",
        "mask_export",
    }


def test_default_is_all_and_training_is_the_chain_up_to_evaluation():
    pipelines = register_pipelines()
    nodes = {name: {node.name for node in p.nodes} for name, p in pipelines.items()}
    stages = [set(nodes[name]) for name in nodes if name not in ("__default__", "training")]
    assert set.union(*stages) <= nodes["__default__"]
    assert nodes["__default__"] - nodes["training"] == nodes["mask_export"]
    assert pipelines["training"].inputs() - {"raw_pairs", "epoch_log", "manifest_before"} == {
        name for name in pipelines["training"].inputs() if name.startswith("params:")
    }


def test_every_hand_over_is_a_catalog_entry_with_a_layer():
    names = {n for n in register_pipelines()["__default__"].datasets() if ":" not in n}
    assert names == set(CATALOG)
    for name, entry in CATALOG.items():
        assert entry["metadata"]["layer"], name


def test_listing_the_pipelines_imports_neither_keras_nor_mlflow():
    code = (
        "import sys, unetflow.settings, unetflow.datasets, unetflow.cli\n"
        "from unetflow.pipeline_registry import register_pipelines\n"
        "register_pipelines()\n"
        "print([m for m in ('tensorflow', 'keras', 'mlflow') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT
    )
    assert done.stdout.splitlines()[-1] == "[]"


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
