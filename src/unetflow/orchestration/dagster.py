"""The retraining under Dagster: `dagster dev -m unetflow.orchestration.dagster`."""

import json
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import dagster as dg

from unetflow.orchestration.configuration import Configuration, digest_listing, read_configuration
from unetflow.orchestration.stages import STAGES, StageError, run_stage
from unetflow.tracking.mlflow_runs import find_run
from unetflow.tracking.redaction import redact
from unetflow.tracking.server import locate_tracking, set_mlflow_defaults

_AT_WORK = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dg.definitions
def definitions() -> dg.Definitions:
    """Return the definitions for the project in the working folder."""
    return build_definitions(read_configuration(Path.cwd()))


def build_definitions(configuration: Configuration) -> dg.Definitions:
    """Return the job, and its schedule and sensor where the parameters have them."""
    job = build_job(configuration)
    return dg.Definitions(
        jobs=[job],
        schedules=list(_build_schedules(configuration, job)),
        sensors=list(_build_sensors(configuration, job)),
    )


def build_job(configuration: Configuration) -> dg.JobDefinition:
    """Return the job `retraining`, whose operations are its stages, one after the other."""
    operations = [_build_operation(configuration, stage) for stage in STAGES]

    @dg.job(name="retraining", executor_def=dg.in_process_executor)
    def retraining() -> None:
        """Train if there is reason to, and promote what is not worse than the champion."""
        before = operations[0]()
        for operation in operations[1:]:
            before = operation(before)

    return retraining


def _build_operation(configuration: Configuration, stage: str) -> dg.OpDefinition:
    parameters = configuration.orchestration

    @dg.op(
        name=stage,
        description=f"Nodes of Kedro's pipeline with the tags {', '.join(STAGES[stage])}.",
        ins={} if stage == next(iter(STAGES)) else {"before": dg.In(dg.Nothing)},
        out={"done": dg.Out(dg.Nothing, is_required=False)},
        retry_policy=dg.RetryPolicy(
            max_retries=parameters.retries,
            delay=parameters.retry_seconds,
            backoff=dg.Backoff.EXPONENTIAL,
        ),
    )
    def operation(context: dg.OpExecutionContext) -> Iterator[dg.Output[None]]:
        # A run that goes on where another one failed goes on with its run of MLflow, too.
        key = context.run.root_run_id or context.run.run_id
        began = monotonic()
        try:
            run_stage(configuration.project, stage, key, 3600 * parameters.time_limit_hours)
        except StageError as error:
            raise dg.Failure(str(error), _describe_run(configuration, key)) from error
        if stage == "gate":
            due, reason = configuration.read_reason()
            context.log.info(reason)
            if not due:
                return
        facts = _describe_run(configuration, key)
        yield dg.Output(None, "done", metadata={"seconds": monotonic() - began, **facts})

    return operation


def _describe_run(configuration: Configuration, key: str) -> dict[str, dg.MetadataValue]:
    """Return a link to the run of MLflow, if there is one."""
    set_mlflow_defaults()
    import mlflow

    settings = configuration.mlflow
    address = locate_tracking(settings["tracking_uri"], configuration.project)
    try:
        run = find_run(mlflow.MlflowClient(address), settings["experiment"], key)
    except mlflow.MlflowException:  # what a stage has done counts more than the link to it
        return {}
    if run is None:
        return {}
    page = redact(settings["tracking_uri"])
    if not page.startswith("http"):
        page = configuration.orchestration.mlflow_ui
    where = f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    return {"MLflow run": dg.MetadataValue.url(f"{page.rstrip('/')}/{where}")}


def _build_schedules(
    configuration: Configuration, job: dg.JobDefinition
) -> Iterator[dg.ScheduleDefinition]:
    parameters = configuration.orchestration
    if parameters.schedule is None:
        return

    @dg.schedule(
        name="on_schedule",
        job=job,
        cron_schedule=parameters.schedule,
        execution_timezone=parameters.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    def on_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        """Start a retraining unless one is at work."""
        return _wait_if_busy(context.instance) or dg.RunRequest()

    yield on_schedule


def _build_sensors(
    configuration: Configuration, job: dg.JobDefinition
) -> Iterator[dg.SensorDefinition]:
    parameters = configuration.orchestration
    if parameters.watch_seconds is None:
        return

    @dg.sensor(
        name="on_new_images",
        job=job,
        minimum_interval_seconds=parameters.watch_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def on_new_images(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        """Start a retraining when the labelled folder has changed and is quiet again."""
        found = digest_listing(configuration.raw)
        if found is None:
            return dg.SkipReason(f"There is nothing at {configuration.raw} yet")
        known = json.loads(context.cursor or "{}")
        if found == known.get("started"):
            return dg.SkipReason("Nothing has changed since the last retraining was started")
        if found != known.get("seen"):
            context.update_cursor(json.dumps({**known, "seen": found}))
            return dg.SkipReason("Something has changed; it may still be going on")
        busy = _wait_if_busy(context.instance)
        if busy is not None:
            return busy
        context.update_cursor(json.dumps({"seen": found, "started": found}))
        return dg.RunRequest(run_key=found)

    yield on_new_images


def _wait_if_busy(instance: dg.DagsterInstance) -> dg.SkipReason | None:
    """Return why not to start a retraining: there is one at work; None: nothing is against it."""
    at_work = instance.get_runs_count(dg.RunsFilter(job_name="retraining", statuses=_AT_WORK))
    return dg.SkipReason("A retraining is at work") if at_work else None
