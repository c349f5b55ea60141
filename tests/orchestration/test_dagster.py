"""The retraining under Dagster."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import mlflow
import pytest
import yaml

from tests.conftest import make_project
from tests.support.stage_runs import run_stage_here
from unetflow.orchestration import dagster as module
from unetflow.orchestration.configuration import read_configuration
from unetflow.orchestration.stages import STAGES, StageError, run_stage


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """An instance that keeps everything in memory."""
    with dg.DagsterInstance.ephemeral() as temporary:
        yield temporary


@pytest.fixture
def lasting_instance() -> Iterator[dg.DagsterInstance]:
    """An instance with its database in files, which others can open."""
    with dg.DagsterInstance.local_temp() as temporary:
        yield temporary


@pytest.fixture
def without_work(monkeypatch) -> list[str]:
    """Put a list of the stages that were run in place of running them."""
    run: list[str] = []
    monkeypatch.setattr(module, "run_stage", lambda project, stage, key, limit: run.append(stage))
    monkeypatch.setattr(module, "_describe_run", lambda configuration, key: {})
    return run


def configure(project: Path, **parameters: object) -> None:
    path = project / "conf" / "local" / "orchestration.yml"
    path.write_text(yaml.safe_dump(parameters))


def give_reason(project: Path, due: bool) -> None:
    path = project / "data/08_reporting/retraining_reason.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"due": due, "reason": "so it is"}))


def test_definitions_validate_and_start_by_themselves(project, monkeypatch) -> None:
    monkeypatch.chdir(project)
    definitions = module.definitions()
    dg.Definitions.validate_loadable(definitions)
    job = definitions.resolve_job_def("retraining")
    assert {node.name for node in job.nodes} == set(STAGES)
    schedule = definitions.resolve_schedule_def("on_schedule")
    sensor = definitions.resolve_sensor_def("on_new_images")
    assert schedule.cron_schedule == "15 2 * * *"
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING


def test_schedule_and_sensor_can_be_turned_off(project) -> None:
    configure(project, schedule=None, watch_seconds=None)
    definitions = module.build_definitions(read_configuration(project))
    assert not list(definitions.schedules or ())
    assert not list(definitions.sensors or ())


def test_without_a_reason_nothing_comes_after_the_gate(project, instance, without_work) -> None:
    give_reason(project, due=False)
    job = module.build_job(read_configuration(project))
    result = job.execute_in_process(instance=instance)
    assert result.success
    assert without_work == ["ingestion", "gate"]
    skipped = {e.node_name for e in result.all_events if e.event_type_value == "STEP_SKIPPED"}
    assert skipped == {"preparation", "training", "evaluation", "decision"}


def test_stages_run_in_their_order_and_again_after_times_that_double(
    project, instance, without_work, monkeypatch
) -> None:
    configure(project, retries=2, retry_seconds=0)
    give_reason(project, due=True)
    failures = iter([StageError("once"), StageError("twice")])

    def fail_twice(project, stage, key, limit):
        if stage == "training" and (error := next(failures, None)):
            raise error
        without_work.append(stage)

    monkeypatch.setattr(module, "run_stage", fail_twice)
    job = module.build_job(read_configuration(project))
    result = job.execute_in_process(instance=instance)
    assert result.success
    assert without_work == list(STAGES)
    retries = [e for e in result.all_events if e.event_type_value == "STEP_RESTARTED"]
    assert [e.node_name for e in retries] == ["training"] * 2
    policy = job.graph.node_named("training").definition.retry_policy
    assert policy.backoff == dg.Backoff.EXPONENTIAL


def tick_schedule(definitions: dg.Definitions, instance: dg.DagsterInstance):
    schedule = definitions.resolve_schedule_def("on_schedule")
    return schedule(dg.build_schedule_context(instance=instance))


def tick_sensor(definitions: dg.Definitions, instance: dg.DagsterInstance, cursor: str | None):
    context = dg.build_sensor_context(instance=instance, cursor=cursor)
    return definitions.resolve_sensor_def("on_new_images")(context), context.cursor


def test_ticks_start_a_run_when_data_are_new_and_no_other_run_is_active(
    project, lasting_instance
) -> None:
    instance = lasting_instance
    definitions = module.build_definitions(read_configuration(project))
    assert isinstance(tick_schedule(definitions, instance), dg.RunRequest)
    nothing, cursor = tick_sensor(definitions, instance, None)
    assert "There is nothing at" in nothing.skip_message
    folder = project / "data/01_raw/demo/images"
    folder.mkdir(parents=True)
    for number in range(2):
        (folder / f"{number}.png").write_bytes(b"an image")
        new, cursor = tick_sensor(definitions, instance, cursor)
        assert "may still be going on" in new.skip_message
    job = definitions.resolve_job_def("retraining")
    run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    busy, cursor = tick_sensor(definitions, instance, cursor)
    assert "is at work" in busy.skip_message
    assert "is at work" in tick_schedule(definitions, instance).skip_message
    instance.report_run_failed(run)
    request, cursor = tick_sensor(definitions, instance, cursor)
    assert isinstance(request, dg.RunRequest)
    again, _ = tick_sensor(definitions, instance, cursor)
    assert "Nothing has changed" in again.skip_message


def job_of_the_working_folder() -> dg.JobDefinition:
    return module.build_job(read_configuration(Path.cwd()))


@pytest.mark.process
def test_a_failed_stage_shows_and_the_run_resumes_there_as_one_run_of_mlflow(
    tmp_path, empty_mlflow, lasting_instance, monkeypatch
) -> None:
    instance = lasting_instance
    project = make_project(tmp_path / "project", empty_mlflow)
    tiny = {
        "model": {"base_filters": 4, "depth": 2},
        "training": {"crop_size": 32, "epochs": 2, "crops_per_image": 1},
    }
    (project / "conf/local/parameters.yml").write_text(yaml.safe_dump(tiny))
    configure(project, retries=0)
    in_the_way = project / "data/08_reporting/history.csv"
    in_the_way.mkdir(parents=True)
    monkeypatch.chdir(project)

    def run_a_stage(*arguments):  # one by a process, the others where all is imported already
        (run_stage if arguments[1] == "gate" else run_stage_here)(*arguments)

    monkeypatch.setattr(module, "run_stage", run_a_stage)
    job = dg.reconstructable(job_of_the_working_folder)
    with dg.execute_job(job, instance) as failed:
        assert not failed.success
        (failure,) = failed.get_step_failure_events()
        first_id = failed.run_id
    in_the_way.rmdir()
    broken = failure.node_name
    assert list(STAGES).index(broken) > 0, failure
    client = mlflow.MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    (run,) = client.search_runs(["1"])
    assert run.info.status == "FAILED"
    outcome = json.loads((project / "data/08_reporting/retraining.json").read_text())
    assert (outcome["decision"], outcome["run_id"]) == ("failed", run.info.run_id)

    options = dg.ReexecutionOptions.from_failure(first_id, instance)
    with dg.execute_job(job, instance, reexecution_options=options) as resumed:
        assert resumed.success
        done = [e.node_name for e in resumed.filter_events(lambda e: e.is_step_success)]
        assert done == list(STAGES)[list(STAGES).index(broken) :]
        links = [
            e.step_output_data.metadata["MLflow run"].value
            for e in resumed.filter_events(lambda e: e.is_successful_output)
        ]
    (run,) = client.search_runs(["1"])  # still one
    assert run.info.status == "FINISHED"
    assert run.data.tags["decision"] == "kept"  # two epochs do not beat Otsu's threshold
    assert run.data.tags["command"] == "kedro run --pipelines retraining"
    assert set(links) == {f"http://127.0.0.1:5000/#/experiments/1/runs/{run.info.run_id}"}
    (version,) = client.search_model_versions("name='unetflow'")
    assert version.run_id == run.info.run_id
    client.set_registered_model_alias("unetflow", "champion", version.version)

    with dg.execute_job(job, instance) as second:
        assert second.success
        done = [e.node_name for e in second.filter_events(lambda e: e.is_step_success)]
    assert done == ["ingestion", "gate"]
    outcome = json.loads((project / "data/08_reporting/retraining.json").read_text())
    assert outcome["decision"] == "skipped"


def test_the_link_to_mlflow_holds_no_password(project, monkeypatch) -> None:
    run = SimpleNamespace(info=SimpleNamespace(experiment_id="1", run_id="abc"))
    monkeypatch.setattr(module, "find_run", lambda client, experiment, key: run)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://ann:pass@mlflow.example.org")
    facts = module._describe_run(read_configuration(project), "key")
    assert facts["MLflow run"].value == "https://mlflow.example.org/#/experiments/1/runs/abc"
