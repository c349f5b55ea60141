"""The DAG that `kedro airflow create` writes; `airflow_trial.py` runs it."""

import ast
from pathlib import Path

import pytest
from click.testing import CliRunner
from kedro.config import OmegaConfigLoader
from kedro.framework.cli.cli import KedroCLI

from tests.conftest import ROOT
from unetflow.orchestration.stages import STAGES, build_command
from unetflow.settings import CONFIG_LOADER_ARGS

TEMPLATE = ROOT / "src/unetflow/orchestration/airflow_dag.py.j2"


def create_dag(project: Path, *options: str) -> str:
    """Return the DAG that Kedro's plugin writes for a project."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        command = ["airflow", "create", "--pipelines", "retraining", "--jinja-file", str(TEMPLATE)]
        result = CliRunner().invoke(KedroCLI(project), [*command, "-t", "dags", *options])
    assert result.exit_code == 0, result.output
    return (project / "dags" / "unetflow_retraining_dag.py").read_text()


@pytest.fixture
def kedro_project(project: Path) -> Path:
    """Return a project that Kedro's own commands recognise."""
    (project / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    (project / "src").mkdir()
    return project


def calls_of(dag: str, function: str) -> list[dict[str, str]]:
    """Return the keyword arguments of each call, as they are written."""
    return [
        {argument.arg: ast.unparse(argument.value) for argument in node.keywords if argument.arg}
        for node in ast.walk(ast.parse(dag))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == function
    ]


def test_the_configuration_has_the_stages_of_the_project() -> None:
    loader = OmegaConfigLoader(str(ROOT / "conf"), env="base", **CONFIG_LOADER_ARGS)
    stages = {name: tuple(tags) for name, tags in loader["airflow"]["retraining"]["stages"].items()}
    assert list(stages.items()) == list(STAGES.items())


def test_the_dag_has_the_parameters_and_nothing_of_where_it_was_made(kedro_project: Path) -> None:
    given = "schedule=5 4 * * 1,timezone=Europe/Berlin,retries=4,retry_seconds=30"
    given += ",time_limit_hours=3,project=/data/it's here,pool=gpu"
    dag = create_dag(kedro_project, "--params", given)
    (settings,) = calls_of(dag, "DAG")
    assert (
        settings["schedule"] == "CronDataIntervalTimetable('5 4 * * 1', timezone='Europe/Berlin')"
    )
    assert settings["max_active_runs"] == "1"
    assert settings["catchup"] == "False"
    for setting in (
        "'pool': 'gpu'",
        "'retries': 4",
        "'retry_delay': timedelta(seconds=30)",
        "'retry_exponential_backoff': 2",
        "'execution_timeout': timedelta(hours=3)",
    ):
        assert setting in settings["default_args"]
    project = next(
        node.value.value
        for node in ast.parse(dag).body
        if isinstance(node, ast.Assign) and node.targets[0].id == "PROJECT"
    )
    assert project == "/data/it's here"
    for trace in (str(kedro_project), "cwd()", "@once"):
        assert trace not in dag


def test_without_a_schedule_it_waits_to_be_started(kedro_project: Path) -> None:
    dag = create_dag(kedro_project, "--params", "schedule=null")
    (settings,) = calls_of(dag, "DAG")
    assert settings["schedule"] == "None"


def test_each_task_is_the_stage_that_runs_under_any_orchestrator(kedro_project: Path) -> None:
    dag = create_dag(kedro_project)
    (task,) = calls_of(dag, "BashOperator")
    known = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(dag).body
        if isinstance(node, ast.Assign)
    }
    assert list(known["STAGES"]) == list(STAGES)
    assert task["bash_command"] == "f'exec {COMMAND} --tags {tags}'"
    for stage, tags in known["STAGES"].items():
        command = f"{known['COMMAND']} --tags {tags}".replace(" --env local", "")
        assert command.split()[1:] == build_command(stage)[1:]
    for key in ("UNETFLOW_RUN", "UNETFLOW_SKIPPED_CODE", "MLFLOW_RUN_CONTEXT"):
        assert f"'{key}'" in task["env"]
    assert "{{ run_id }}" in task["env"]
