"""The MLflow run of a Kedro run."""

import json
import logging
import shlex
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unetflow.core.types import Label
from unetflow.data.samples import Sample
from unetflow.tracking import mlflow_runs
from unetflow.tracking.metric_values import list_values
from unetflow.tracking.model_logging import LoggedModel
from unetflow.tracking.pictures import PictureSelection, picture_key
from unetflow.tracking.redaction import redact
from unetflow.tracking.retry_queue import RetryQueue
from unetflow.tracking.server import TrackingTarget, choose_target, set_mlflow_defaults, ui_command

if TYPE_CHECKING:
    from unetflow.inference.segmenter import Segmenter

_log = logging.getLogger(__name__)

_TEXTS = {".csv", ".html", ".json", ".txt", ".yml"}
"""Suffixes of text files, in which secrets are removed before they are logged."""

_LONGEST_DIGEST = 36
"""Length of a data set's digest that MLflow accepts."""


class Tracker:
    """One MLflow run.

    A failure before the run has started is an error; a later one is a warning, since a record must
    not cost a training (see `RetryQueue`). Credentials and the home folder are removed from all
    texts that are logged: parameters, tags and files (see `redact`).

    Args:
        project: The project's folder, which holds a relative SQLite file and the artifacts.
        tracking_uri: Address of MLflow's runs.
        experiment: Name of the experiment; it is created where it does not exist.
        system_metrics: Whether to log processor, memory and disk usage.
        pictures: Which predictions are logged as pictures; see `PictureSelection`.
        registered_model: Name under which finished models are registered; None: no registration.
        secrets: Texts that must not be logged, such as passwords.
    """

    def __init__(
        self,
        project: Path,
        tracking_uri: str,
        experiment: str,
        *,
        system_metrics: bool,
        pictures: Mapping[str, Any],
        registered_model: str | None,
        secrets: Collection[str] = (),
    ) -> None:
        set_mlflow_defaults()
        self._pictures, self._choice = pictures, PictureSelection(pictures)
        self._system_metrics = system_metrics
        self._registered_model = registered_model
        self._redact = partial(redact, secrets=secrets)
        self._queue = RetryQueue()
        self._model: LoggedModel | None = None
        self._has_input = False
        self._known_epochs = 0
        self._is_part = False  # of a run that an orchestrator or a parent owns
        self._target: Callable[[], str]
        import mlflow

        self._mlflow = mlflow
        self._project = project
        self._before = TrackingTarget.current()
        self._tracking_uri, self._experiment = tracking_uri, experiment
        choose_target(tracking_uri, experiment, project)

    def start(
        self,
        name: str,
        parameters: Mapping[str, Any],
        tags: Mapping[str, str],
        key: str | None = None,
    ) -> None:
        """Start the run and log Kedro's parameters, its tags, its command and the git commit.

        With the key of a run in stages, the run that an earlier stage has started is continued.
        """
        while self._mlflow.active_run():  # left by an interrupted run
            self._mlflow.end_run("KILLED")
        logging.getLogger("mlflow.system_metrics").setLevel(logging.WARNING)
        command = shlex.join(["kedro", *sys.argv[1:]])
        begun = None
        if key is not None:
            begun = mlflow_runs.find_run(self._mlflow.MlflowClient(), self._experiment, key)
            self._model = LoggedModel.of_run(begun) if begun else None
            tags = {**tags, mlflow_runs.KEY_TAG: key}
            command = f"kedro run --pipelines {name}"  # the stages are the orchestrator's business
        run = self._mlflow.start_run(
            begun.info.run_id if begun else None,
            run_name=name,
            log_system_metrics=self._system_metrics,
        )
        self._is_part = key is not None
        self._follow(run.info)
        known = begun.data.params if begun else {}
        values = self._redact_all(dict(mlflow_runs.flatten(parameters)))
        self._mlflow.log_params({name: values[name] for name in values if name not in known})
        facts = {
            "pipeline": name,
            "command": command,
            "mlflow.source.name": "kedro",  # MLflow would give the path of the program
            **mlflow_runs.git_tags(self._project),
        }
        self._mlflow.set_tags(self._redact_all({**facts, **tags}))

    @property
    def name(self) -> str:
        """The run's id."""
        return str(self._run.run_id)

    def resume(self, record: str | None, scores: Sequence[Mapping[str, float]]) -> None:
        """Resume the run of an interrupted training, and log the finished epochs that it lacks.

        The id of that run, `record`, is ignored where this run is part of another one.
        """
        if record not in (None, self.name) and not self._is_part:
            metrics = self._system_metrics
            self._follow(mlflow_runs.resume_run(str(record), self._run, system_metrics=metrics))
        known = mlflow_runs.count_logged_epochs(self._target())
        for epoch, values in enumerate(scores[known:], known + 1):
            self.log_epoch(epoch, values)
        self._known_epochs = known

    def _follow(self, run: Any) -> None:
        self._run = run
        run_id: str = run.run_id
        self._target = lambda: run_id

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Add tags to the run."""
        self._send(f"the tags {', '.join(tags)}", self._mlflow.set_tags, self._redact_all(tags))

    def log_input(self, source: str, digest: str, context: str) -> None:
        """Log the data set that the run uses, once.

        Args:
            source: Folder or file of the data set, which gives it its name.
            digest: Of its content.
            context: Purpose of the data set in the run.
        """
        if self._has_input:
            return
        self._has_input = True
        from mlflow.data.dataset_source_registry import get_dataset_source_from_json
        from mlflow.data.meta_dataset import MetaDataset

        name = Path(source).name.removesuffix(".zip")
        place = get_dataset_source_from_json(json.dumps({"uri": self._redact(source)}), "local")
        data = MetaDataset(place, name, digest[:_LONGEST_DIGEST])
        self._send("the data set", self._mlflow.log_input, data, context=context)

    def log_artifact(self, path: Path) -> None:
        """Copy a file into the run; texts without secrets."""
        self._send(path.name, self._copy, path)

    def _copy(self, path: Path) -> None:
        text = path.read_text("utf-8") if path.suffix in _TEXTS else ""
        redacted = self._redact(text)
        if redacted == text:
            self._mlflow.log_artifact(str(path))
        else:
            self._mlflow.log_text(redacted, path.name)

    def log_epoch(self, epoch: int, scores: Mapping[str, float]) -> None:
        """Log the scores of an epoch, counted from 1, during the training."""
        if epoch > self._known_epochs:
            self._log_scores(f"the scores of epoch {epoch}", dict(scores), step=epoch)

    def log_prediction(
        self, epoch: int, sample_id: str, sample: Sample, found: Label, classes: int
    ) -> None:
        """Log a small picture of a prediction if `PictureSelection` wants it."""
        if epoch <= self._known_epochs or not self._choice.wants(epoch, sample_id):
            return
        from unetflow.visualization.overlays import draw_validation

        picture, target, now = draw_validation(sample, found, classes), self._target, _now()
        when = {"step": epoch, "timestamp": now, "synchronous": True}
        self._send(
            f"the picture of '{sample_id}' in epoch {epoch}",
            lambda: self._mlflow.MlflowClient().log_image(
                target(), picture, key=picture_key(sample_id), **when
            ),
        )

    def log_metrics(self, metrics: Mapping[str, Any], prefix: str = "test") -> None:
        """Log the scores of `Metrics` or `summarise_folds`; see `metric_values.list_values`."""
        self._log_scores(f"the {prefix} scores", list_values(metrics, prefix))

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Log epochs, predictions and scores to a nested run of this name inside the context."""
        nested = mlflow_runs.nest_run(self._run, name)
        before = self._target, self._is_part
        self._target, self._is_part, self._known_epochs = nested, True, 0
        self._choice = PictureSelection(self._pictures)  # each fold validates on other images
        status = "FAILED"
        try:
            yield
            status = "FINISHED"
        finally:
            self._target, self._is_part = before
            self._send(
                f"the end of {name}",
                lambda: self._mlflow.MlflowClient().set_terminated(nested(), status),
            )

    def log_model(self, path: Path, segmenter: "Segmenter") -> None:
        """Log the finished segmenter as a model."""
        self._model = LoggedModel()
        self._send("the model", self._model.log, path, segmenter)

    def register_model(self, scores: str) -> None:
        """Register the model that this run has logged, if any, with a line about its scores."""
        if self._model is None or self._registered_model is None:
            return
        run = f"#/experiments/{self._run.experiment_id}/runs/{self._run.run_id}"
        address = self._redact(self._tracking_uri)
        page = address.rstrip("/") + "/" if address.startswith("http") else ""
        description = f"{scores}\n\nRun: [{self._run.run_name} {self._run.run_id}]({page}{run})"
        self._send(
            "the registered model", self._model.register, self._registered_model, description
        )

    def describe_ui(self) -> str:
        """Return the command that shows the runs; see `server.ui_command`."""
        return self._redact(ui_command(self._tracking_uri, self._project))

    def end(self, error: Exception | None = None) -> list[str]:
        """End the run, as failed after an error; return the names of the records that are lost."""
        if error is not None:
            self.set_tags({"error": f"{type(error).__name__}: {error}"[:5000]})
        lost = self._queue.flush()
        try:
            self._mlflow.end_run("FAILED" if error else "FINISHED")
        except Exception as failure:  # it must not hide the error of the run itself
            _log.warning("MLflow will show the run as running (%s)", failure)
            lost.append("the run's end")
        self._before.restore()
        return lost

    def _redact_all(self, values: Mapping[str, Any]) -> dict[str, str]:
        return {name: self._redact(str(value)) for name, value in values.items()}

    def _log_scores(self, what: str, scores: dict[str, float], step: int | None = None) -> None:
        target, now = self._target, _now()  # also when they are sent late
        self._send(
            what,
            lambda: self._mlflow.log_metrics(
                scores, step=step, synchronous=True, run_id=target(), timestamp=now
            ),
        )

    def _send(self, what: str, log: Any, *values: Any, **named: Any) -> None:
        self._queue.submit(what, partial(log, *values, **named))


def _now() -> int:
    """Return the time in milliseconds since 1970."""
    return round(time.time() * 1000)
