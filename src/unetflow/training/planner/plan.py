"""The plan of a training: network, crops and steps for the data, the memory and the minutes."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

from unetflow.config.model import ModelParameters, PlannedModel
from unetflow.config.parameters import BudgetParameters, Plan
from unetflow.config.training import PlannedTraining, TrainingParameters
from unetflow.core.errors import InputError
from unetflow.data.fingerprint import Fingerprint
from unetflow.training.planner.cost import Speed
from unetflow.training.planner.memory import Validation, predict_memory
from unetflow.training.planner.reasons import give_reasons
from unetflow.training.planner.schedule import plan_schedule, trains_long_enough
from unetflow.training.planner.sizes import choose_depth, list_crops
from unetflow.training.planner.task import PARAMETERS, Choice, Task, make_task

_WIDTHS = (64, 48, 32, 24, 16, 8)
_BATCHES = (4, 2, 1)
_TILES = (1024, 768, 512, 384, 256)


def plan_training(
    fingerprint: Fingerprint,
    budget: BudgetParameters,
    model: ModelParameters,
    training: TrainingParameters,
    speed: Speed,
) -> Plan:
    """Choose a network and a training that suit the data and fit the budget.

    What is given stays as it is; the rest is chosen around it, in this order:

    1. Depth: as large as leaves the deepest feature map 8 pixels, at most 4.
    2. Crop: as large as the images' shorter median edge and the depth allow, at most 256.
    3. Batch: 4. Tile: 1024.
    4. Width: the largest of 64, 48, 32, 24, 16 and 8 filters with which 1,000 steps fit into
       80 % of the minutes, or else 8: a small network that is trained long enough beats a large
       one that is not. On ISBI 2012, 152 steps of a large network took 20 minutes and gave a Dice
       of 0.68, where 16 filters gave 0.81 in the same time.
    5. Where the memory does not suffice: a smaller tile, then a smaller batch, then a smaller
       crop, then fewer filters, and last a smaller depth. When one of these shrinks, those before
       it start again at their largest, so that nothing is smaller than it must be.
    6. Steps: as many as fit into 80 % of the minutes, validation included; see `plan_schedule`.

    Args:
        fingerprint: Of the data.
        budget: The memory and the minutes that are granted.
        model: The parameters of the network; those that are None are chosen.
        training: Those of the training, likewise.
        speed: What the machine reaches.

    Returns:
        The parameters with what was chosen, and why. The predicted minutes exceed the budget where
        even the smallest network is too slow, or where what is given takes longer.

    Raises:
        InputError: The memory does not suffice for what is given, or a given crop does not fit
            the network.
    """
    task = make_task(fingerprint, budget, model, training)
    wanted = _choose_by_time(task, speed)
    choice = _fit_memory(task, wanted)
    schedule = plan_schedule(task, choice, speed)
    minutes = training.minutes or budget.minutes
    chosen: dict[str, dict[str, Any]] = {"model": {}, "training": {"minutes": minutes}}
    for name, parameter in PARAMETERS.items():
        section, key = parameter.split(".")
        chosen[section][key] = vars(choice).get(name) or getattr(schedule, name)
    return Plan(
        model=PlannedModel(**model.model_dump() | chosen["model"]),
        training=PlannedTraining(**training.model_dump() | chosen["training"]),
        reasons=give_reasons(task, wanted, choice, schedule),
        steps=schedule.steps,
        memory_gb=_memory_of(task, choice) / 1e9,
        minutes=schedule.seconds / 60,
    )


def _choose_by_time(task: Task, speed: Speed) -> Choice:
    """Choose regardless of memory."""
    depth = choose_depth(task)
    widths = _candidates(task, "base_filters", _WIDTHS)
    choice = Choice(
        depth=depth,
        base_filters=widths[-1],
        crop=list_crops(task, depth)[0],
        batch=_candidates(task, "batch", _BATCHES)[0],
        tile=_candidates(task, "tile", _TILES)[0],
    )
    for width in widths:
        wider = replace(choice, base_filters=width)
        if trains_long_enough(task, plan_schedule(task, wider, speed)):
            return wider
    return choice


def _fit_memory(task: Task, wanted: Choice) -> Choice:
    """Return the first of the ever smaller choices that fits."""
    choice = wanted
    for choice in _shrink(task, wanted):
        if _memory_of(task, choice) <= task.memory:
            return choice
    raise _refuse(task, choice)


def _shrink(task: Task, wanted: Choice) -> Iterator[Choice]:
    depths = [task.given["depth"]] if "depth" in task.given else range(wanted.depth, 0, -1)
    widths = [w for w in _candidates(task, "base_filters", _WIDTHS) if w <= wanted.base_filters]
    for depth, width in product(depths, widths):
        for crop, batch, tile in product(
            list_crops(task, depth),
            _candidates(task, "batch", _BATCHES),
            _candidates(task, "tile", _TILES),
        ):
            yield Choice(depth, width, crop, batch, tile)


def _candidates(task: Task, name: str, usual: tuple[int, ...]) -> tuple[int, ...]:
    return (task.given[name],) if name in task.given else usual


def _memory_of(task: Task, choice: Choice) -> int:
    largest = task.fingerprint.largest
    return predict_memory(
        task.architecture(choice),
        crop=choice.crop,
        batch=choice.batch,
        validation=Validation(largest.height, largest.width, choice.tile),
        training=task.training,
    )


def _refuse(task: Task, smallest: Choice) -> InputError:
    needed = _memory_of(task, smallest) / 1e9
    fix = f"Grant {needed + 0.05:.1f}"
    names = [PARAMETERS[name] for name in vars(smallest) if name in task.given]
    if names:
        fix += f", or give a smaller value, or none, for {' or '.join(names)}"
    return InputError(
        "budget.memory_gb",
        f"{task.memory / 1e9:g} GB do not suffice: the smallest training that fits what is given "
        f"({smallest.base_filters} filters, depth {smallest.depth}, batches of "
        f"{smallest.batch} crops of {smallest.crop} pixels) needs {needed:.2f} GB",
        fix,
    )
