"""The stage `planning`: parameters, fingerprint and budget -> settled parameters with reasons."""

import hashlib
import logging
from collections.abc import Collection
from operator import attrgetter
from types import SimpleNamespace
from typing import Any

from kedro.pipeline import Pipeline

from unetflow.config.model import ModelParameters, PlannedModel
from unetflow.config.parameters import BudgetParameters, Parameters, Plan
from unetflow.config.training import PlannedTraining, TrainingParameters
from unetflow.core.errors import InputError
from unetflow.data.fingerprint import Fingerprint
from unetflow.pipelines.stage import node, stage
from unetflow.training.planner.choices import PARAMETERS
from unetflow.training.planner.instances import (
    choose_instances,
    describe_touching,
    is_worth_learning,
)
from unetflow.training.planner.plan_training import plan_training
from unetflow.training.planner.recipe import RECIPE, plan_recipe

_log = logging.getLogger(__name__)

_FORM = "2"
"""Raised when other plans are made for the same task, so that no plan of before is kept."""


def create_pipeline() -> Pipeline:
    """Wire the stage."""
    inputs = ["fingerprint", "params:budget", "params:model", "params:training", "plan_before"]
    return stage("planning", node(plan_run, inputs, "plan"))


def plan_run(
    fingerprint: Fingerprint,
    budget: BudgetParameters,
    model: ModelParameters,
    training: TrainingParameters,
    plan_before: dict[str, Any] | None = None,
) -> Plan:
    """Settle the parameters of network and training; those that are None are chosen.

    The plan of the last run is kept if it was made for the same data, parameters and minutes, and
    fits the memory. A measured speed differs a little each time, and an interrupted training can
    only be resumed with the same plan.

    Raises:
        InputError: Something is open and no budget is granted, or the budget does not suffice.
    """
    model, why = choose_instances(model, fingerprint)
    told = {"instances": why} if why else {}
    _report_instances(model, fingerprint, why)
    given = SimpleNamespace(model=model, training=training)
    is_open = [place for place in PARAMETERS.values() if attrgetter(place)(given) is None]
    granted = budget.model_dump()
    if not is_open:
        if any(value is not None for value in granted.values()):
            _log.warning(
                "A budget is granted, but the parameters leave nothing to choose: add "
                "`preset=planned`, or set to null what is to be chosen"
            )
        settled, reasons = plan_recipe(fingerprint, training)
        return Plan(
            model=PlannedModel(**model.model_dump()),
            training=PlannedTraining(**settled.model_dump()),
            reasons=reasons | told,
        )
    missing = [name for name, value in granted.items() if value is None]
    if missing:
        raise InputError(
            f"budget.{missing[0]}",
            f"it is null, and {', '.join(is_open)} must be planned",
            "Grant a budget, as in `budget.memory_gb=4,budget.minutes=20`, or set them",
        )
    made_for = _digest(fingerprint, budget, model, training)
    before = _read_plan(plan_before)
    fits = before is not None and (before.memory_gb or 0) <= (budget.memory_gb or 0)
    if before is not None and before.made_for == made_for and fits:
        _log.info("Kept the plan of the last run, for the same data, parameters and minutes")
        return before
    plan = _plan(fingerprint, budget, model, training)
    return plan.model_copy(update={"reasons": plan.reasons | told, "made_for": made_for})


def _digest(
    fingerprint: Fingerprint,
    budget: BudgetParameters,
    model: ModelParameters,
    training: TrainingParameters,
) -> str:
    """Return a digest of what a plan depends on, besides the memory and the machine's speed."""
    text = [part.model_dump_json() for part in (model, training)]
    content = "\n".join([_FORM, fingerprint.model_dump_json(), str(budget.minutes), *text])
    return hashlib.sha256(content.encode()).hexdigest()


def _read_plan(stored: dict[str, Any] | None) -> Plan | None:
    """Return a stored plan; None where there is none, or it is of another version."""
    try:
        return None if stored is None else Plan.model_validate(stored)
    except ValueError:
        return None


def _report_instances(model: ModelParameters, fingerprint: Fingerprint, why: str) -> None:
    """Log what was chosen, or that objects which touch may be counted as one."""
    if why:
        _log.info("model.instances: %s (%s)", model.instances, why)
        return
    if model.instances == "none" and is_worth_learning(fingerprint):
        _log.warning(
            "%s and may be counted as one: `model.instances=auto` learns to separate them",
            describe_touching(fingerprint).capitalize(),
        )


def check_plan(plan: Plan, parameters: Parameters, names: Collection[str] | None = None) -> None:
    """Refuse a plan of an earlier run that was made for other parameters.

    Those of `names` must agree, as in "training.tile"; None: all of model and training.

    Raises:
        InputError: A parameter that is set has another value in the plan.
    """
    for section in ("model", "training"):
        planned = getattr(plan, section).model_dump()
        for name, value in getattr(parameters, section).model_dump().items():
            place = f"{section}.{name}"
            wanted = names is None or place in names
            is_open = value is None or (place, value) == ("model.instances", "auto")
            if wanted and not is_open and planned[name] != value:
                raise InputError(
                    place,
                    f"it is {value}, but the plan of an earlier run, which this one continues, "
                    f"says {planned[name]}",
                    "Run the whole chain, give the same parameters as then, or make a new plan "
                    "with `--pipelines planning`",
                )


def _plan(
    fingerprint: Fingerprint,
    budget: BudgetParameters,
    model: ModelParameters,
    training: TrainingParameters,
) -> Plan:
    from unetflow.training.machine import choose_precision, measure_speed

    # Where the width is open too, most budgets lead to one that bfloat16 suits.
    speed = measure_speed(choose_precision(training.precision, model.base_filters or 16))
    plan = plan_training(fingerprint, budget, model, training, speed)
    parts = ("training.steps_per_epoch", "training.validation_images")
    for place in (*PARAMETERS.values(), *RECIPE, *parts):
        reason = plan.reasons.get(place.rpartition(".")[2])
        if reason is not None:
            _log.info("%s: %s (%s)", place, attrgetter(place)(plan), reason)
    _log.info("Predicted: %.1f GB and %.0f min of training", plan.memory_gb, plan.minutes)
    if plan.minutes is not None and budget.minutes is not None and plan.minutes > budget.minutes:
        _log.warning(
            "That is more than the %g min that are granted: training will end when they are up",
            budget.minutes,
        )
    return plan
