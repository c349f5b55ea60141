"""What the parameters leave open, chosen for the data and the budget."""

import logging
from collections.abc import Mapping
from typing import Any

from unetflow.imaging.errors import InputError
from unetflow.imaging.planning import Speed, plan_training
from unetflow.pipelines.checks import read_parameters
from unetflow.pipelines.parameters import (
    BudgetParameters,
    ConstructionParameters,
    TrainingParameters,
)

_log = logging.getLogger(__name__)

_FIELDS = {
    "construction": ("depth", "base_filters"),
    "training": ("crop_size", "batch_size", "tile", "epochs", "crops_per_image"),
}
"""What can be planned."""


def plan_run(
    fingerprint: dict[str, Any],
    budget: dict[str, Any],
    construction: dict[str, Any],
    training: dict[str, Any],
) -> dict[str, Any]:
    """Settle the parameters of construction and training.

    Args:
        fingerprint: Of the data set.
        budget: The parameter `budget`.
        construction: The parameters of the construction; what is null is chosen.
        training: Those of the training, likewise.

    Returns:
        `construction` and `training` with nothing left open, and, where anything was open,
        `reasons`, `steps`, and the predicted `memory_gb` (10^9 bytes) and `minutes`.

    Raises:
        InputError: Something is open and no budget is granted, or the budget does not suffice.
    """
    settled = {
        "construction": read_parameters(
            ConstructionParameters, construction, "construction"
        ).model_dump(),
        "training": read_parameters(TrainingParameters, training, "training").model_dump(),
    }
    granted = read_parameters(BudgetParameters, budget, "budget").model_dump()
    is_open = [
        f"{stage}.{name}"
        for stage, names in _FIELDS.items()
        for name in names
        if settled[stage][name] is None
    ]
    if not is_open:
        if any(value is not None for value in granted.values()):
            _log.warning(
                "A budget is granted, but the parameters leave nothing to choose: add "
                "`preset=planned`, or set to null what shall be chosen"
            )
        return settled
    missing = [name for name, value in granted.items() if value is None]
    if missing:
        raise InputError(
            f"budget.{missing[0]}",
            f"it is null, and {', '.join(is_open)} shall be planned",
            "Grant a budget, as in `budget.memory_gb=4,budget.minutes=20`, or set them",
        )
    return _plan(fingerprint, granted, settled)


def _plan(
    fingerprint: Mapping[str, Any], budget: Mapping[str, float], settled: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    given = {**settled["construction"], **settled["training"]}
    plan = plan_training(fingerprint, budget, given, _measure_speed())
    chosen = {
        stage: {**values, **{name: getattr(plan, name) for name in _FIELDS[stage]}}
        for stage, values in settled.items()
    }
    for stage, names in _FIELDS.items():
        for name in names:
            _log.info("%s.%s: %s (%s)", stage, name, chosen[stage][name], plan.reasons[name])
    _log.info("Predicted: %.1f GB and %.0f min of training", plan.memory_gb, plan.minutes)
    return {
        **chosen,
        "reasons": plan.reasons,
        "steps": plan.steps,
        "memory_gb": plan.memory_gb,
        "minutes": plan.minutes,
    }


def _measure_speed() -> Speed:
    from unetflow.unet.speed import measure_speed

    return measure_speed()
