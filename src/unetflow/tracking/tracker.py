"""One run of Kedro as one run of MLflow."""

import json
import logging
import os
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unetflow.core.types import Label
from unetflow.data.samples import Sample
from unetflow.tracking.model_logging import LoggedModel
from unetflow.tracking.nested import NestedRun
from unetflow.tracking.pictures import PictureChoice, picture_key
from unetflow.tracking.redaction import redact
from unetflow.tracking.resume import count_epochs, go_on_with
from unetflow.tracking.retry_queue import Delivery
from unetflow.tracking.server import (
    Place,
    choose_place,
    locate_tracking,
    restrain_mlflow,
)
from unetflow.tracking.stage_runs import KEY_TAG, find_run
from unetflow.tracking.tags import flatten, git_tags

if TYPE_CHECKING:
    from unetflow.inference.segmenter import Segmenter

_log = logging.getLogger(__name__)

_TEXTS = {".csv", ".html", ".json", ".txt", ".yml"}
"""Endings of files that are read through for what must not be logged."""

_LONGEST_DIGEST = 36
"""Of a data set's digest MLflow takes no more characters."""


class Tracker:
    """One run of MLflow.

    What goes wrong before the run has started is an error; later it is a warning, since a record
    must not cost a training (see `Delivery`).

    Whatever is logged as text, in parameters, tags and files, has no credentials and no path of
    the user's home folder in it (see `redact`).

    Args:
        project: The project's folder; a relative SQLite file and the artifacts lie there.
        tracking_uri: Where MLflow keeps its runs.
        experiment: The experiment's name; it is made when it is not there.
        system_metrics: Whether to log how busy processor, memory and disk are.
        pictures: Which predictions become pictures; see `PictureChoice`.
        registered_model: The name under which finished models are registered; None: none is.
        secrets: What must not be logged, such as passwords.
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
        restrain_mlflow()
        self._pictures, self._choice = pictures, PictureChoice(pictures)
        self._system_metrics = system_metrics
        self._registered_model = registered_model
        self._redact = partial(redact, secrets=secrets)
        self._delivery = Delivery()
        self._model: LoggedModel | None = None
        self._has_input = False
        self._known_epochs = 0
        self._is_part = False  # of another one's run
        self._target: Callable[[], str]
        import mlflow

        self._mlflow = mlflow
        self._project = project
        self._before = Place.now()
        self._tracking_uri, self._experiment = tracking_uri, experiment
        choose_place(tracking_uri, experiment, project)

    def start(
        self,
        name: str,
        parameters: Mapping[str, Any],
        tags: Mapping[str, str],
        key: str | None = None,
    ) -> None:
        """Start the run and log its parameters, its tags, its command and the git commit.

        Args:
            name: Of the run.
            parameters: All of Kedro's.
            tags: More tags.
            key: Of a run in parts: if an earlier part began it, this one goes on with it.
        """
        while self._mlflow.active_run():  # left over from a run that was interrupted
            self._mlflow.end_run("KILLED")
        logging.getLogger("mlflow.system_metrics").setLevel(logging.WARNING)
        command = shlex.join(["kedro", *sys.argv[1:]])
        begun = None
        if key is not None:
            begun = find_run(self._mlflow.MlflowClient(), self._experiment, key)
            tags = {**tags, KEY_TAG: key}
            command = f"kedro run --pipelines {name}"  # its parts are the orchestrator's business
        if begun is not None:
            self._model = LoggedModel.of_run(begun)
        run = self._mlflow.start_run(
            begun.info.run_id if begun else None,
            run_name=name,
            log_system_metrics=self._system_metrics,
        )
        self._is_part = key is not None
        self._follow(run.info)
        known = begun.data.params if begun else {}
        values = self._redact_all(dict(flatten(parameters)))
        self._mlflow.log_params({name: values[name] for name in values if name not in known})
        facts = {
            "pipeline": name,
            "command": command,
            "mlflow.source.name": "kedro",  # MLflow gives the path of the program
            **git_tags(self._project),
        }
        self._mlflow.set_tags(self._redact_all({**facts, **tags}))

    @property
    def name(self) -> str:
        """The run's id."""
        return str(self._run.run_id)

    def go_on(self, record: str | None, scores: Sequence[Mapping[str, float]]) -> None:
        """Go on with the run of a training that was cut off, and log what it misses.

        Args:
            record: That run's id. Part of another run, this one stays what it is.
            scores: Of the epochs that are done.
        """
        if record not in (None, self.name) and not self._is_part:
            self._follow(go_on_with(str(record), self._run, system_metrics=self._system_metrics))
        known = count_epochs(self._target())
        for epoch, values in enumerate(scores[known:], known + 1):
            self.log_epoch(epoch, values)
        self._known_epochs = known

    def _follow(self, run: Any) -> None:
        self._run = run
        run_id: str = run.run_id
        self._target = lambda: run_id

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Add tags to the run."""
        self._carry(f"the tags {', '.join(tags)}", self._mlflow.set_tags, self._redact_all(tags))

    def log_input(self, source: str, digest: str, context: str) -> None:
        """Log the data set that the run uses, once.

        Args:
            source: The folder or file that it comes from, after which it is named.
            digest: Of its content; MLflow keeps the first 36 characters.
            context: What the run uses it for.
        """
        if self._has_input:
            return
        self._has_input = True
        from mlflow.data.dataset_source_registry import get_dataset_source_from_json
        from mlflow.data.meta_dataset import MetaDataset

        name = Path(source).name.removesuffix(".zip")
        place = get_dataset_source_from_json(json.dumps({"uri": self._redact(source)}), "local")
        data = MetaDataset(place, name, digest[:_LONGEST_DIGEST])
        self._carry("the data set", self._mlflow.log_input, data, context=context)

    def log_artifact(self, path: Path) -> None:
        """Copy a file into the run; of a text what `redact` leaves of it."""
        self._carry(path.name, self._copy, path)

    def _copy(self, path: Path) -> None:
        text = path.read_text("utf-8") if path.suffix in _TEXTS else ""
        redacted = self._redact(text)
        if redacted == text:
            self._mlflow.log_artifact(str(path))
        else:
            self._mlflow.log_text(redacted, path.name)

    def log_epoch(self, epoch: int, scores: Mapping[str, float]) -> None:
        """Log the scores of an epoch, which counts from 1, while the training goes on."""
        if epoch > self._known_epochs:
            self._carry_scores(f"the scores of epoch {epoch}", dict(scores), step=epoch)

    def log_prediction(
        self, epoch: int, sample_id: str, sample: Sample, found: Label, classes: int
    ) -> None:
        """Log a small picture of a prediction if it is one of those that are followed."""
        if epoch <= self._known_epochs or not self._choice.wants(epoch, sample_id):
            return
        from unetflow.visualization.thumbnails import draw_validation

        picture, target, now = draw_validation(sample, found, classes), self._target, _now()
        self._carry(
            f"the picture of '{sample_id}' in epoch {epoch}",
            lambda: self._mlflow.MlflowClient().log_image(
                target(),
                picture,
                key=picture_key(sample_id),
                step=epoch,
                timestamp=now,
                synchronous=True,
            ),
        )

    def log_metrics(self, metrics: Mapping[str, Any], prefix: str = "test") -> None:
        """Log the mean of each score, as `<prefix>_<score>`, its spread, and pooled scores."""
        scores = {}
        for name, score in metrics["scores"].items():
            scores[f"{prefix}_{name}"] = score["mean"]
            if "spread" in score:
                scores[f"{prefix}_{name}_spread"] = score["spread"]
        for name, score in metrics.get("pooled", {}).items():
            scores[f"{prefix}_{name}"] = score["value"]
        if metrics.get("threshold") is not None:
            scores["threshold"] = metrics["threshold"]
        self._carry_scores(f"the {prefix} scores", scores)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Log epochs, predictions and scores to a nested run of this name meanwhile."""
        nested = NestedRun(self._run, name)
        before = self._target, self._is_part
        self._target, self._is_part, self._known_epochs = nested.find, True, 0
        self._choice = PictureChoice(self._pictures)  # it validates on other images
        status = "FAILED"
        try:
            yield
            status = "FINISHED"
        finally:
            self._target, self._is_part = before
            self._carry(f"the end of {name}", nested.end, status)

    def log_model(self, path: Path, segmenter: "Segmenter") -> None:
        """Log the finished segmenter as a model."""
        self._model = LoggedModel()
        self._carry("the model", self._model.log, path, segmenter)

    def register_model(self, scores: str) -> None:
        """Register the model that this run has logged, if any, once its scores are known.

        Args:
            scores: What its description says of its quality.
        """
        if self._model is None or self._registered_model is None:
            return
        run = f"#/experiments/{self._run.experiment_id}/runs/{self._run.run_id}"
        address = self._redact(self._tracking_uri)
        page = address.rstrip("/") + "/" if address.startswith("http") else ""
        description = f"{scores}\n\nRun: [{self._run.run_name} {self._run.run_id}]({page}{run})"
        self._carry(
            "the registered model", self._model.register, self._registered_model, description
        )

    def describe_ui(self) -> str:
        """Return the command that shows the runs, as it works in the folder where one stands."""
        if self._tracking_uri.startswith("http"):
            return self._redact(self._tracking_uri)
        uri = self._tracking_uri
        if not uri.startswith("sqlite:"):
            uri = "$MLFLOW_TRACKING_URI"  # it may hold a password
        elif Path.cwd() != self._project:
            uri = locate_tracking(uri, self._project)
        installed = Path(sys.executable).with_name("mlflow")
        command = "mlflow" if shutil.which("mlflow") else os.path.relpath(installed)
        return f"{command} ui --backend-store-uri {uri if uri[0] == '$' else shlex.quote(uri)}"

    def end(self, error: Exception | None = None) -> list[str]:
        """End the run, as failed when there was an error, and return what MLflow did not take."""
        if error is not None:
            self.set_tags({"error": f"{type(error).__name__}: {error}"[:5000]})
        lost = self._delivery.finish()
        try:
            self._mlflow.end_run("FAILED" if error else "FINISHED")
        except Exception as failure:  # the error of the run itself must not be hidden by it
            _log.warning("MLflow shows the run as running for ever (%s)", failure)
            lost.append("the run's end")
        self._before.choose()
        return lost

    def _redact_all(self, values: Mapping[str, Any]) -> dict[str, str]:
        return {name: self._redact(str(value)) for name, value in values.items()}

    def _carry_scores(self, what: str, scores: dict[str, float], step: int | None = None) -> None:
        target, now = self._target, _now()  # those of now, also when it is delivered late
        self._carry(
            what,
            lambda: self._mlflow.log_metrics(
                scores, step=step, synchronous=True, run_id=target(), timestamp=now
            ),
        )

    def _carry(self, what: str, log: Any, *values: Any, **named: Any) -> None:
        self._delivery.carry(what, partial(log, *values, **named))


def _now() -> int:
    """Return the time as MLflow counts it, in milliseconds."""
    return round(time.time() * 1000)
