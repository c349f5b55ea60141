"""What a run logs holds neither credentials nor the path of the user's home folder."""

import re
import sqlite3
import zipfile
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from click.testing import Result

from tests.conftest import CREDENTIAL, kedro_run, make_project

pytestmark = pytest.mark.xdist_group("finished")  # one process makes the run that all look at

ADDRESSES = {"artifact_location", "artifact_uri", "source", "storage_location"}
"""Columns in which MLflow itself keeps where the artifacts lie; it finds them by these."""


def read_database(path: Path) -> Iterator[tuple[str, str]]:
    """Yield table and column, and each text in it."""
    with sqlite3.connect(path) as opened:
        tables = opened.execute("SELECT name FROM sqlite_master WHERE type='table'").fetchall()
        for (table,) in tables:
            rows = pd.read_sql(f'SELECT * FROM "{table}"', opened)  # noqa: S608 -- its own name
            for column in rows:
                if column not in ADDRESSES:
                    yield from ((f"{table}.{column}", str(value)) for value in rows[column])


def read_artifacts(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the name of each artifact, or of its part, and its content."""
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            continue
        if path.suffix == ".parquet":
            yield path.name, pd.read_parquet(path).to_csv()
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    yield f"{path.name}/{name}", archive.read(name).decode("latin-1")
        content = path.read_bytes().decode("latin-1")
        if path.name == "MLmodel":
            content = re.sub(r"^artifact_path: .*$", "", content, flags=re.MULTILINE)
        yield path.name, content


def find_leaks(project: Path, *private: str) -> set[str]:
    logged = [*read_database(project / "mlflow.db"), *read_artifacts(project / "mlruns")]
    assert len(logged) > 200
    return {f"{where}: {text}" for where, value in logged for text in private if text in value}


def test_nothing_private_is_logged_by_a_whole_run(finished: tuple[Path, Result]) -> None:
    project = finished[0]
    assert not find_leaks(project, str(project.parent), CREDENTIAL, "ann:pass")
    client = mlflow.MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    run = client.search_runs(["1"], order_by=["start_time ASC"])[0]  # others ran there since
    assert run.data.tags["command"] == "kedro run --params images=~/a,note=https://host.org/***"
    assert run.data.tags["mlflow.source.name"] == "kedro"
    manifest = pd.read_parquet(project / "data/03_primary/manifest.parquet")
    assert manifest["mask_file"].str.startswith("~/project/data/01_raw/demo/masks").all()


@pytest.mark.slow
def test_nothing_private_is_logged_by_a_refused_run(tmp_path, empty_mlflow, monkeypatch):
    project = make_project(tmp_path / "project", empty_mlflow)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert kedro_run(project, "--pipelines", "ingestion").exit_code == 0
    image = next(iter((project / "data/01_raw/demo/images").iterdir()))
    image.write_bytes(b"no image")
    result = kedro_run(project, "--pipelines", "ingestion")
    assert result.exit_code == 1
    assert image.name in result.output
    client = mlflow.MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    run = client.search_runs(["1"], order_by=["start_time DESC"])[0]
    assert "~/project/data" in run.data.tags["error"]
    assert not find_leaks(project, str(tmp_path))
