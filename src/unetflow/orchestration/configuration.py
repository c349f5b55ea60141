"""What an orchestrator must know of the project."""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from unetflow.config.base import Strict, read_parameters
from unetflow.settings import CONFIG_LOADER_ARGS, CONFIG_LOADER_CLASS


class OrchestrationParameters(Strict):
    """What may stand in `conf/*/orchestration.yml`."""

    schedule: str | None
    timezone: str
    watch_seconds: Annotated[int, Field(ge=30)] | None
    retries: Annotated[int, Field(ge=0)]
    retry_seconds: Annotated[float, Field(ge=0)]
    time_limit_hours: Annotated[float, Field(gt=0)]
    mlflow_ui: str


@dataclass(frozen=True)
class Configuration:
    """The project's configuration as far as an orchestrator needs it.

    `raw` is where the labelled images lie, `reason` the file that says whether there is reason to
    train.
    """

    project: Path
    orchestration: OrchestrationParameters
    mlflow: dict[str, Any]
    raw: Path
    reason: Path

    def read_reason(self) -> tuple[bool, str]:
        """Return whether there is reason to train, and which, as the gate found it."""
        known = json.loads(self.reason.read_text("utf-8"))
        return known["due"], known["reason"]


def read_configuration(project: Path) -> Configuration:
    """Read the configuration of the environment `KEDRO_ENV`, or `local`.

    Raises:
        InputError: A parameter of `orchestration.yml` cannot be right.
    """
    loader = CONFIG_LOADER_CLASS(
        str(project / "conf"), env=os.environ.get("KEDRO_ENV"), **CONFIG_LOADER_ARGS
    )
    catalog = loader["catalog"]
    return Configuration(
        project,
        read_parameters(OrchestrationParameters, loader["orchestration"], "orchestration"),
        loader["mlflow"],
        project / catalog["raw_pairs"]["path"],
        project / catalog["retraining_reason"]["filepath"],
    )


def digest_listing(folder: Path) -> str | None:
    """Return a digest of the names, sizes and times of all files; None where there is nothing."""
    if not folder.exists():
        return None
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")) if folder.is_dir() else [folder]:
        if path.is_file():
            facts = path.stat()
            digest.update(f"{path}\0{facts.st_size}\0{facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()
