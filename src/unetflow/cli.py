"""`kedro run` with one clear line for errors that the user can fix."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from kedro.config import MissingConfigException
from kedro.framework.cli.project import run as kedro_run
from kedro.io import DatasetError
from omegaconf.errors import OmegaConfBaseException
from yaml.parser import ParserError

from unetflow.core.errors import InputError
from unetflow.pipelines.retraining.runner import SKIPPED, RetrainingRunner

SKIPPED_CODE = "UNETFLOW_SKIPPED_CODE"
"""Environment variable with the exit code of a retraining without a reason; default 0."""


@click.group()
def cli() -> None:
    """Commands of this project; they take precedence over Kedro's own."""


def _run(**options: Any) -> Any:
    """Run the pipeline."""
    # TensorFlow's notices about its build would bury the messages of the run.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Relative to the working folder; `model` is an earlier name of `segmenter`.
    for name in ("images", "output", "segmenter", "model", "start_from"):
        path = options["params"].get(name)
        is_path = path is not None and not isinstance(path, dict)  # of the section `model`
        if is_path and not str(path).startswith("models:/"):
            options["params"][name] = str(Path(path).absolute())
    if "retraining" in (*options["pipelines"], options["pipeline"]) and options["runner"] is None:
        options["runner"] = f"{RetrainingRunner.__module__}.{RetrainingRunner.__qualname__}"
    try:
        with _sigterm_as_interrupt():
            result = kedro_run.callback(**options)  # type: ignore[misc]
    except KeyboardInterrupt:
        if "mlflow" in sys.modules:
            sys.modules["mlflow"].end_run("KILLED")
        raise
    except Exception as error:
        message = _message_for(error)
        if message is None:
            raise
        raise click.ClickException(message) from error
    if SKIPPED in result:
        sys.exit(_read_skipped_code())
    return result


def _read_skipped_code() -> int:
    code = os.environ.get(SKIPPED_CODE, "0")
    if not (code.isdecimal() and int(code) < 256):
        raise click.ClickException(
            f"environment variable {SKIPPED_CODE}: {code!r} is not an exit code. Give 0 to 255."
        )
    return int(code)


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Treat SIGTERM, with which schedulers end a process, as Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():  # signals need the main thread
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _message_for(error: Exception) -> str | None:
    """Return the message for the user; None where only a traceback helps."""
    chain = list(_causes(error))
    for cause in chain:
        if isinstance(cause, InputError):
            return str(cause)
    for cause in chain:
        first_line = next(iter(str(cause).splitlines()), "")
        if isinstance(cause, OmegaConfBaseException | MissingConfigException | ParserError):
            return (
                f"The configuration cannot be read: {first_line} "
                "Correct the file in conf/, --env or the value in --params; presets are in "
                "conf/base/globals_presets.yml."
            )
        if type(cause).__name__ == "MlflowException":  # importing MLflow takes seconds
            return f"MLflow: {first_line} Check MLFLOW_TRACKING_URI and conf/base/mlflow.yml."
        if isinstance(cause, ValueError) and first_line.startswith("Failed to find the pipeline"):
            return first_line
    return str(error) if isinstance(error, DatasetError) else None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


run = click.command(
    "run",
    help=kedro_run.help,
    params=kedro_run.params,
    context_settings={"help_option_names": ["-h", "--help"]},
)(_run)
cli.add_command(run)
