"""The pipeline `rollback`: the previous champion of the registry becomes the champion again."""

import logging
from typing import Any

from kedro.pipeline import Pipeline

from unetflow.core.errors import InputError
from unetflow.pipelines.stage import node, stage

_log = logging.getLogger(__name__)


def create_pipeline() -> Pipeline:
    """Wire the pipeline."""
    return stage(
        "rollback", node(roll_back, "champion_aliases", "champion_move"), tags=("promotes",)
    )


def roll_back(aliases: dict[str, str | None]) -> dict[str, Any]:
    """Let champion and previous champion change places; doing it twice changes nothing.

    Returns:
        How to move the two aliases; see `datasets.ChampionDataset`.

    Raises:
        InputError: There is nothing to go back to.
    """
    champion, previous = aliases["champion"], aliases["previous"]
    if previous is None or previous == champion:
        raise InputError(
            "rollback",
            "there is no previous champion to go back to",
            "Set the alias `champion` in the MLflow UI to the version that you want",
        )
    _log.info("The champion is version %s again, instead of version %s", previous, champion)
    return {"version": previous, "instead_of": champion}
