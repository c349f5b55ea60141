"""What the parameters leave open, chosen for the data and the budget."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from unetflow.config.model import ModelParameters
from unetflow.config.parameters import BudgetParameters, Parameters
from unetflow.config.training import TrainingParameters
from unetflow.core.errors import InputError
from unetflow.training.planner.cost import Speed
from unetflow.training.planner.plan import plan_training

_log = logging.getLogger(__name__)

_FIELDS = {
    "model": ("depth", "base_filters"),
    "training": ("crop_size", "batch_size", "tile", "epochs", "crops_per_image"),
}
"""What can be planned."""


def plan_run(
    fingerprint: dict[str, Any],
    budget: BudgetParameters,
    model: ModelParameters,
    training: TrainingParameters,
) -> dict[str, Any]:
    """Settle the parameters of model and training.

    Args:
        fingerprint: Of the data set.
        budget: The parameter `budget`.
        model: The parameters of the network; what is null is chosen.
        training: Those of the training, likewise.

    Returns:
        `model` and `training` with nothing left open, and, where anything was open,
        `reasons`, `steps`, and the predicted `memory_gb` (10^9 bytes) and `minutes`.

    Raises:
        InputError: Something is open and no budget is granted, or the budget does not suffice.
    """
    settled = {"model": model.model_dump(), "training": training.model_dump()}
    granted = budget.model_dump()
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


def check_plan(
    plan: Mapping[str, Any], parameters: Parameters, names: Iterable[str] | None = None
) -> None:
    """Refuse a plan of an earlier run that was made for other parameters.

    Args:
        plan: What `plan_run` gave then.
        parameters: All parameters of this run.
        names: What must agree, as in "training.tile"; None: all of model and training.

    Raises:
        InputError: A parameter that is set has another value in the plan.
    """
    for stage in _FIELDS:
        for name, value in getattr(parameters, stage).model_dump().items():
            wanted = names is None or f"{stage}.{name}" in names
            if wanted and value is not None and plan[stage].get(name, value) != value:
                raise InputError(
                    f"{stage}.{name}",
                    f"it is {value}, but the plan of an earlier run, with which this one would go "
                    f"on, says {plan[stage][name]}",
                    "Run the whole chain, give the same parameters as then, or make a new plan "
                    "with `--pipelines planning`",
                )


def _plan(
    fingerprint: Mapping[str, Any], budget: Mapping[str, float], settled: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    given = {**settled["model"], **settled["training"]}
    speed = _measure_speed(settled["training"]["precision"], settled["model"]["base_filters"])
    plan = plan_training(fingerprint, budget, given, speed)
    chosen = {
        stage: {**values, **{name: getattr(plan, name) for name in _FIELDS[stage]}}
        for stage, values in settled.items()
    }
    for stage, names in _FIELDS.items():
        for name in names:
            _log.info("%s.%s: %s (%s)", stage, name, chosen[stage][name], plan.reasons[name])
    if chosen["training"]["minutes"] is None:
        chosen["training"]["minutes"] = budget["minutes"]
    _log.info("Predicted: %.1f GB and %.0f min of training", plan.memory_gb, plan.minutes)
    if plan.minutes > budget["minutes"]:
        _log.warning(
            "That is more than the %g min that are granted: training will end when they are up",
            budget["minutes"],
        )
    return {
        **chosen,
        "reasons": plan.reasons,
        "steps": plan.steps,
        "memory_gb": plan.memory_gb,
        "minutes": plan.minutes,
    }


def _measure_speed(precision: str, base_filters: int | None) -> Speed:
    from unetflow.training.precision import choose_precision
    from unetflow.training.speed import measure_speed

    # Where the width is open too, most budgets lead to one that bfloat16 suits.
    return measure_speed(choose_precision(precision, base_filters or 16))
