"""A project in a temporary folder, and a way to call `kedro run` in it."""

import gc
import json
import os
import shutil
import sys
from collections.abc import Callable, Generator, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import execnet
import pytest
from click.testing import CliRunner, Result
from coverage import Coverage
from hypothesis import HealthCheck, settings
from kedro.framework.project import configure_project

from unetflow.tracking.server import TrackingTarget

ROOT = Path(__file__).parent.parent

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DO_NOT_TRACK"] = "1"  # Kedro's telemetry
# The tests do not depend on the shell in which they run.
for name in (
    "COLUMNS",
    "FORCE_COLOR",
    "KEDRO_ENV",
    "KERAS_BACKEND",
    "MLFLOW_EXPERIMENT_NAME",
    "MLFLOW_RUN_CONTEXT",
    "MLFLOW_TRACKING_URI",
    "UNETFLOW_RUN",
    "UNETFLOW_SKIPPED_CODE",
):
    os.environ.pop(name, None)

# Hypothesis for a busy machine: the same examples each time, and no clock.
settings.register_profile(
    "unetflow",
    deadline=None,
    derandomize=True,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("unetflow")

# Kedro sets up logging at the first call, which would remove pytest's handler during a test.
configure_project("unetflow")

# A network and a demo so small that a whole run takes seconds.
TINY = (
    "preset=lean,model.base_filters=4,model.depth=2,training.crop_size=32,training.epochs=2,"
    "training.crops_per_image=1"
)
TINY_DEMO = """
raw_pairs:
  type: unetflow.datasets.DemoPairsDataset
  path: data/01_raw/demo
  count: 8
  size: 64
"""

CREDENTIAL = "open-sesame-1234"
"""In the credentials of the finished project and in its command."""

ABOVE_THE_LIBRARY = {"datasets", "orchestration", "pipelines", "tracking"}

SECOND_TIER = {"slow", "process"}
SECONDS_OF_THE_SECOND_TIER = 900
"""Limit of one of its tests; pyproject.toml has that of the others."""

Run = Callable[..., Result]


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests of the second tier more time, and the quick ones of a file to one process.

    The fixtures of a file are then made once. A test may set its limit or its group itself.
    """
    for item in items:
        marks = {mark.name for mark in item.iter_markers()}
        if marks & SECOND_TIER:
            if "timeout" not in marks:
                item.add_marker(pytest.mark.timeout(SECONDS_OF_THE_SECOND_TIER))
        elif "xdist_group" not in marks:
            item.add_marker(pytest.mark.xdist_group(str(item.path.relative_to(ROOT))))


def pytest_collection_finish() -> None:
    """Keep what has been imported and collected out of garbage collections, which it slows down."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """Turn what pytest-xdist cannot send into text: such a report would end the whole run."""
    data = yield
    try:
        execnet.dumps(data)
    except (execnet.DataFormatError, UnicodeEncodeError):
        text = json.dumps(data, default=str, ensure_ascii=False)
        return json.loads(text.encode(errors="replace"))
    return data


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Measure the coverage of the library by its own tests only: measuring costs a third."""
    measuring = Coverage.current()
    others = item.path.relative_to(ROOT / "tests").parts[0] in ABOVE_THE_LIBRARY
    if measuring is None or not others:
        return (yield)
    measuring.stop()
    try:
        return (yield)
    finally:
        measuring.start()


@pytest.fixture(autouse=True)
def _no_tracking_target_of_another_test() -> Iterator[None]:
    """Restore where MLflow tracks runs after each test."""
    yield
    if "mlflow" in sys.modules:
        TrackingTarget().restore()


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a database with all tables: creating them takes MLflow seconds.

    MLflow also reads all its migrations, which do not change, for each database that it opens.
    """
    import mlflow
    from mlflow.store.db import utils

    latest = cache(utils._get_latest_schema_revision)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "_get_latest_schema_revision", latest)
        path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
        mlflow.MlflowClient(f"sqlite:///{path}").search_experiments()
        yield path


def make_project(folder: Path, database: Path) -> Path:
    """Copy the configuration and a tiny demo to a folder."""
    shutil.copytree(ROOT / "conf", folder / "conf", ignore=shutil.ignore_patterns("local"))
    (folder / "conf" / "local").mkdir()
    (folder / "conf" / "local" / "catalog.yml").write_text(TINY_DEMO)
    shutil.copy(database, folder / "mlflow.db")
    return folder


def kedro_run(project: Path, *arguments: str) -> Result:
    """Call `kedro run` in a project's folder."""
    from unetflow.cli import run

    configure_project("unetflow")
    before = Path.cwd()
    os.chdir(project)
    try:
        return CliRunner().invoke(run, arguments)
    finally:
        os.chdir(before)


@pytest.fixture
def project(tmp_path: Path, empty_mlflow: Path) -> Path:
    """Return the folder of a new project."""
    return make_project(tmp_path, empty_mlflow)


@pytest.fixture(scope="session")
def finished(
    tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path
) -> Iterator[tuple[Path, Result]]:
    """Return a project after a whole run of the default pipeline, and what the run printed."""
    home = tmp_path_factory.mktemp("finished")
    folder = make_project(home / "project", empty_mlflow)
    (folder / "conf" / "local" / "credentials.yml").write_text(f"storage: {{key: {CREDENTIAL}}}\n")
    command = [
        "kedro",
        "run",
        "--params",
        f"images={home}/a,note=https://ann:pass@host.org/{CREDENTIAL}",
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.setattr(sys, "argv", command)
        result = kedro_run(folder, "--params", TINY)
    assert result.exit_code == 0, result.output
    return folder, result


@pytest.fixture
def copy(finished: tuple[Path, Result], tmp_path: Path) -> Path:
    """Return a copy of the finished project."""
    return shutil.copytree(finished[0], tmp_path / "copy")
