"""The champion among the versions of a model in MLflow's registry."""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
from kedro.io import AbstractDataset, DatasetError

from unetflow.core.errors import InputError
from unetflow.datasets.file_datasets import load_segmenter
from unetflow.datasets.registered_models import download_model, find_version

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from unetflow.inference.segmenter import Segmenter

_log = logging.getLogger(__name__)

CHAMPION, PREVIOUS = "champion", "previous"

_REPLACED = "replaced"
"""Alias of the old champion while the aliases move."""


@dataclass(frozen=True)
class ChampionRecord:
    """The champion's data and scores.

    Attributes:
        name: Name of the registered model, and its `version`, `registered` at that time.
        manifest: Manifest of the data that it was trained and tested with.
        metrics: Its scores; see `evaluation.summary.summarise_scores`.
        load_segmenter: Reads the model itself in safe mode.
    """

    name: str
    version: str
    registered: datetime
    manifest: pd.DataFrame
    metrics: Mapping[str, Any]
    load_segmenter: "Callable[[], Segmenter]"


class ChampionDataset(AbstractDataset[Any, Any]):
    """The champion: the version of a registered model that has the alias `champion`.

    There is a champion at any moment: `champion` moves in one step, and before it a third alias
    notes the old one, from which `previous` is brought up to date even after a killed run.

    Args:
        registered_model: The model's name; None: models are not registered.
        part: What of it is loaded:

            - `model`: which version it is, and its segmenter, read in safe mode
            - `record`: its data and scores, without the model, whose loading costs seconds
            - `aliases`: the versions of `champion` and `previous`; saving moves them
    """

    def __init__(
        self,
        *,
        registered_model: str | None,
        part: Literal["model", "record", "aliases"] = "model",
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._name, self._part = registered_model, part
        self.metadata = metadata

    def load(self) -> "tuple[str, Segmenter] | ChampionRecord | dict[str, str | None] | None":
        """Ask the registry; None where there is no champion.

        A champion whose model cannot be read counts as none, with a warning: a comparison that is
        missing must not cost the training before it.

        Raises:
            InputError: Models are not registered, or the champion's run lacks what a retraining
                needs.
        """
        if self._part == "model":
            return None if self._name is None else _load_champion(self._name)
        name = self._required_name
        return _read_record(name) if self._part == "record" else _read_aliases(name)

    def save(self, data: Mapping[str, Any]) -> None:
        """Move the aliases, or leave them where `data` is empty.

        Args:
            data: `{"version": V, "instead_of": W}` makes version V the champion and W the previous
                one. V may be None for the version that the active run has registered, and W for
                none. Nothing changes if V is the champion already, so that a killed run may resume.

        Raises:
            InputError: W is not the champion (any more).
        """
        if self._part != "aliases":
            raise DatasetError("The registry is only read here.")
        if data:
            _move_aliases(self._required_name, data["version"], data["instead_of"])

    @property
    def _required_name(self) -> str:
        if self._name is None:
            raise InputError(
                "registered_model",
                "it is null, and a champion is a version of a registered model",
                "Give it a name in conf/base/globals.yml",
            )
        return self._name

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"registered_model": self._name, "part": self._part}


def _load_champion(name: str) -> "tuple[str, Segmenter] | None":
    try:
        version = find_version(name, CHAMPION)
        if version is None:
            return None
        path = download_model(f"models:/{name}/{version}", f"{name}@{CHAMPION}")
        return f"{name} version {version}", load_segmenter(path)
    except Exception as error:  # each store of models raises errors of its own
        message = "The champion of '%s' cannot be read (%s: %s); nothing is compared with it"
        _log.warning(message, name, type(error).__name__, error)
        return None


def _read_record(name: str) -> ChampionRecord | None:
    import mlflow

    version = find_version(name, CHAMPION)
    if version is None:
        return None
    client = mlflow.MlflowClient()
    known = client.get_model_version(name, version)
    source = f"models:/{name}/{version}"
    return ChampionRecord(
        name,
        version,
        datetime.fromtimestamp(known.creation_timestamp / 1000, UTC),
        pd.read_parquet(_fetch(client, known.run_id, "manifest.parquet", source)),
        json.loads(_fetch(client, known.run_id, "metrics.json", source).read_text("utf-8")),
        lambda: load_segmenter(download_model(source, f"{name}@{CHAMPION}")),
    )


def _read_aliases(name: str) -> dict[str, str | None]:
    champion, replaced = find_version(name, CHAMPION), find_version(name, _REPLACED)
    if replaced in (None, champion):  # nothing was cut off, or before `champion` moved
        return {CHAMPION: champion, PREVIOUS: find_version(name, PREVIOUS)}
    return {CHAMPION: champion, PREVIOUS: replaced}


def _move_aliases(name: str, version: str | None, instead_of: str | None) -> None:
    import mlflow

    client = mlflow.MlflowClient()
    version = version or _version_of_active_run(client, name)
    _finish_move(client, name)
    before = find_version(name, CHAMPION)
    if before == version:
        return
    if before != instead_of:
        raise InputError(
            f"models:/{name}@{CHAMPION}",
            f"it has become version {before} meanwhile, and was version {instead_of} when this run "
            "compared with it",
            "Run the retraining again",
        )
    if before is not None:
        client.set_registered_model_alias(name, _REPLACED, before)
    client.set_registered_model_alias(name, CHAMPION, version)
    _finish_move(client, name)


def _finish_move(client: "MlflowClient", name: str) -> None:
    """Bring `previous` up to date where `champion` has moved."""
    replaced = find_version(name, _REPLACED)
    if replaced is None:
        return
    if replaced != find_version(name, CHAMPION):
        client.set_registered_model_alias(name, PREVIOUS, replaced)
    client.delete_registered_model_alias(name, _REPLACED)


def _version_of_active_run(client: "MlflowClient", name: str) -> str:
    import mlflow

    run = mlflow.active_run()
    made = client.search_model_versions(f"name='{name}'") if run else []
    versions = [int(v.version) for v in made if run and v.run_id == run.info.run_id]
    if not versions:
        raise InputError(
            f"models:/{name}",
            "this run's model is not in the registry, so that it cannot become the champion",
            "The log above says why MLflow refused it; then run the retraining again",
        )
    return str(max(versions))


def _fetch(client: "MlflowClient", run_id: str, name: str, source: str) -> Path:
    from mlflow.exceptions import MlflowException

    try:
        return Path(client.download_artifacts(run_id, name))
    except (MlflowException, OSError) as error:
        raise InputError(
            source,
            f"its run {run_id or 'is unknown and'} has no {name} ({error})",
            "Give the alias `champion` to a version that `kedro run --pipeline training` made, or "
            "delete the alias",
        ) from error
