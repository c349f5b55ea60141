"""`kedro run` as Kedro has it, but with one clear line for errors that the user can mend."""

import os
from collections.abc import Iterator
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run
from kedro.io import DatasetError
from omegaconf.errors import OmegaConfBaseException

from unetflow.imaging.errors import InputError


@click.group()
def cli() -> None:
    """Commands of this project; they take precedence over Kedro's own."""


def _run(**options: Any) -> Any:
    """Run the pipeline."""
    # TensorFlow's notices about its build would bury what a person wants to read.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        return kedro_run.callback(**options)  # type: ignore[misc]
    except Exception as error:
        message = _message_for(error)
        if message is None:
            raise
        raise click.ClickException(message) from error


def _message_for(error: Exception) -> str | None:
    """Return what to tell the user, or None where only a traceback helps."""
    chain = list(_causes(error))
    for cause in chain:
        if isinstance(cause, InputError):
            return str(cause)
    for cause in chain:
        if isinstance(cause, FileNotFoundError):
            return (
                f"{cause.filename}: the file does not exist. "
                "Run the stage that writes it first, or the whole chain with `kedro run`."
            )
        if isinstance(cause, OmegaConfBaseException):
            return (
                f"The configuration cannot be read: {str(cause.msg).splitlines()[0]} "
                "Correct the file in conf/ or the value in --params; presets are in "
                "conf/base/globals_presets.yml."
            )
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
