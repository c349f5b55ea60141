"""Runs the retraining under Airflow itself, which needs an environment of its own.

    python -m tests.orchestration.airflow_trial ENVIRONMENT

`ENVIRONMENT` is a folder with `bin/airflow` of Airflow 3 and its standard provider. In a temporary
folder it makes a project with a tiny demo, the DAG and Airflow's SQLite database, has
`airflow dags test` run the DAG twice, and prints what became of each task and of the run of MLflow:
the first model is kept, since two epochs do not beat Otsu's threshold, and is made the champion
here; so the second run is skipped at its gate. It takes about 3 minutes.
"""

import argparse
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path
from time import monotonic

import mlflow
import yaml

from tests.conftest import ROOT, TINY_DEMO
from unetflow.orchestration.stages import STAGES

DAG = "unetflow_retraining"


def make_project(folder: Path) -> None:
    """Make a project whose network and demo are tiny."""
    for name in ("conf", "src"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("local"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    local = folder / "conf" / "local"
    local.mkdir()
    (local / "catalog.yml").write_text(TINY_DEMO)
    training = {"crop_size": 32, "epochs": 2, "crops_per_image": 1}
    network = {"base_filters": 4, "depth": 2}
    parameters = {"model": network, "training": training}
    (local / "parameters.yml").write_text(yaml.safe_dump(parameters))


def write_dag(project: Path, dags: Path) -> None:
    """Have Kedro's plugin write the DAG."""
    template = ROOT / "src/unetflow/orchestration/airflow_dag.py.j2"
    kedro = Path(sys.executable).with_name("kedro")
    options = ["--pipelines", "retraining", "--jinja-file", template, "--target-dir", dags]
    where = f"project={project},python={sys.executable}"
    subprocess.run(
        [kedro, "airflow", "create", *options, "--params", where], cwd=project, check=True
    )


def call_airflow(airflow: Path, home: Path, *command: str) -> None:
    """Run a command of Airflow, whose output goes to a file."""
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "PATH": f"{airflow.parent}:{os.environ['PATH']}",
    }
    environment.pop("PYTHONPATH", None)
    path = home / f"{'_'.join(command)}.log"
    with path.open("w") as log:
        done = subprocess.run(
            [airflow, *command],
            cwd=home,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        raise SystemExit(f"airflow {' '.join(command)} failed:\n{path.read_text()}")


def run_dag(airflow: Path, home: Path, day: str) -> dict[str, str]:
    """Run the DAG once and return the state of each task."""
    call_airflow(airflow, home, "dags", "test", DAG, day)
    with sqlite3.connect(home / "airflow.db") as database:
        found = database.execute(
            "SELECT task_id, task_instance.state FROM task_instance "
            "JOIN dag_run USING (dag_id, run_id) WHERE date(logical_date) = ?",
            [day],
        )
        return dict(found.fetchall())


def show(project: Path, states: dict[str, str], seconds: float) -> str:
    """Print what became of the tasks and of the run of MLflow, and return its decision."""
    outcome = json.loads((project / "data/08_reporting/retraining.json").read_text())
    client = mlflow.MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    runs = client.search_runs(["1"], order_by=["start_time DESC"])
    tags = runs[0].data.tags
    assert runs[0].info.run_id == outcome["run_id"]
    print("  ".join(f"{stage}: {states[stage]}" for stage in STAGES))
    print(f"{outcome['decision']}: {outcome['reason']} ({seconds:.0f} s)")
    print(f"runs of MLflow until now: {len(runs)}; tags of this one:")
    for name in ("orchestrator_run", "data_interval_start", "data_interval_end", "decision"):
        print(f"  {name} = {tags[name]}")
    print(flush=True)
    return str(outcome["decision"])


def make_champion(project: Path) -> None:
    """Make the only registered model the champion."""
    client = mlflow.MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    (version,) = client.search_model_versions("name='unetflow'")
    client.set_registered_model_alias("unetflow", "champion", version.version)


def main() -> None:
    """Run the DAG on two days."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("environment", type=Path)
    airflow = parser.parse_args().environment.absolute() / "bin" / "airflow"
    with tempfile.TemporaryDirectory() as folder:
        project, home = Path(folder, "project"), Path(folder, "airflow")
        project.mkdir()
        home.mkdir()
        make_project(project)
        write_dag(project, home / "dags")
        call_airflow(airflow, home, "db", "migrate")
        call_airflow(airflow, home, "dags", "reserialize")
        for day, expected in (("2026-11-01", "kept"), ("2026-11-02", "skipped")):
            began = monotonic()
            states = run_dag(airflow, home, day)
            decision = show(project, states, monotonic() - began)
            rest = "success" if expected == "kept" else "skipped"
            assert decision == expected
            assert states == {
                stage: "success" if stage == "ingestion" else rest for stage in STAGES
            }
            if expected == "kept":
                make_champion(project)


if __name__ == "__main__":
    main()
