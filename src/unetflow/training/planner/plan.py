"""The plan of a training: network, crops and steps for the data, the memory and the minutes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from unetflow.core.errors import InputError
from unetflow.training.planner.cost import Speed
from unetflow.training.planner.memory import Validation, predict_memory
from unetflow.training.planner.reasons import give_reasons
from unetflow.training.planner.schedule import plan_schedule, trains_long_enough
from unetflow.training.planner.sizes import choose_depth, list_crops
from unetflow.training.planner.task import Choice, Task, read_task

_WIDTHS = (64, 48, 32, 24, 16, 8)
_BATCHES = (4, 2, 1)
_TILES = (1024, 768, 512, 384, 256)


@dataclass(frozen=True)
class Plan:
    """A network and how to train it, named as in the parameters.

    Attributes:
        depth: How often the size is halved.
        base_filters: Filters of the first level.
        crop_size: Edge of a training crop in pixels.
        batch_size: Crops in a batch.
        tile: Longest edge in pixels of a window when images are predicted.
        epochs: Most epochs.
        crops_per_image: Crops of each image in an epoch.
        steps: Steps of the whole training.
        reasons: For each of the above but the steps, why, in one sentence.
        memory_gb: Predicted peak of the process's resident memory in 10^9 bytes.
        minutes: Predicted time of the training with its validation.
    """

    depth: int
    base_filters: int
    crop_size: int
    batch_size: int
    tile: int
    epochs: int
    crops_per_image: int
    steps: int
    reasons: dict[str, str]
    memory_gb: float
    minutes: float


def plan_training(
    fingerprint: Mapping[str, Any],
    budget: Mapping[str, float],
    given: Mapping[str, Any],
    speed: Speed,
) -> Plan:
    """Choose a network and a training that suit the data and fit the budget.

    What is given stays as it is; the rest is chosen around it, in this order:

    1. Depth: as large as leaves the deepest feature map 8 pixels, at most 4.
    2. Crop: as large as the images' shorter median edge and the depth allow, at most 256.
    3. Batch: 4. Tile: 512.
    4. Width: the largest of 64, 48, 32, 24, 16 and 8 filters with which 1,000 steps fit into
       80 % of the minutes, or else 8: a small network that is trained long enough beats a large
       one that is not. On ISBI 2012, 152 steps of a large network took 20 minutes and gave a Dice
       of 0.68, where 16 filters gave 0.81 in the same time.
    5. Where the memory does not suffice: a smaller tile, then a smaller batch, then a smaller
       crop, then fewer filters, and last a smaller depth. When one of these shrinks, those before
       it begin anew at their largest, so that nothing is smaller than it must be.
    6. Steps: as many as fit into 80 % of the minutes, validation included; see `plan_schedule`.

    Args:
        fingerprint: See `measure_fingerprint`.
        budget: `memory_gb`, in 10^9 bytes, and `minutes`.
        given: The parameters of construction and training. Of `depth`, `base_filters`,
            `crop_size`, `batch_size`, `tile`, `epochs` and `crops_per_image`, those that are there
            and not None are kept. `normalisation` ("batch" if not there), `padding` ("same"),
            `head` ("auto"), `deep_supervision` (0), `loss` ("bce + dice"), `optimiser` ("adam")
            and `ema_momentum` (0) are reckoned with; others don't matter.
        speed: What the machine reaches.

    Returns:
        The plan. Its minutes exceed the budget where even the smallest network is too slow, or
        where what is given takes longer.

    Raises:
        InputError: The memory does not suffice for what is given, or a given crop does not fit
            the network.

    Example:
        ```python
        plan = plan_training(
            fingerprint,
            {"memory_gb": 4, "minutes": 20},
            {"base_filters": None},
            measure_speed("float32"),
        )
        plan.base_filters, plan.reasons["base_filters"]
        ```
    """
    task = read_task(fingerprint, budget, given)
    wanted = _choose_by_time(task, speed)
    choice = _fit_memory(task, wanted)
    schedule = plan_schedule(task, choice, speed)
    return Plan(
        **vars(choice),
        **{name: getattr(schedule, name) for name in ("epochs", "crops_per_image", "steps")},
        reasons=give_reasons(task, wanted, choice, schedule),
        memory_gb=_memory_of(task, choice) / 1e9,
        minutes=schedule.seconds / 60,
    )


def _choose_by_time(task: Task, speed: Speed) -> Choice:
    """Choose as if memory were no matter."""
    depth = choose_depth(task)
    widths = _candidates(task, "base_filters", _WIDTHS)
    choice = Choice(
        depth=depth,
        base_filters=widths[-1],
        crop_size=list_crops(task, depth)[0],
        batch_size=_candidates(task, "batch_size", _BATCHES)[0],
        tile=_candidates(task, "tile", _TILES)[0],
    )
    for width in widths:
        wider = replace(choice, base_filters=width)
        if trains_long_enough(task, plan_schedule(task, wider, speed)):
            return wider
    return choice


def _fit_memory(task: Task, wanted: Choice) -> Choice:
    """Return the first of ever smaller choices that fits."""
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
            _candidates(task, "batch_size", _BATCHES),
            _candidates(task, "tile", _TILES),
        ):
            yield Choice(depth, width, crop, batch, tile)


def _candidates(task: Task, name: str, usual: tuple[int, ...]) -> tuple[int, ...]:
    return (task.given[name],) if name in task.given else usual


def _memory_of(task: Task, choice: Choice) -> int:
    height, width = task.largest_size
    return predict_memory(
        task.architecture(choice.depth, choice.base_filters),
        crop_size=choice.crop_size,
        batch_size=choice.batch_size,
        optimiser=task.optimiser,
        validation=Validation(height, width, choice.tile),
        loss=task.loss,
        averaged=task.averaged,
    )


def _refuse(task: Task, smallest: Choice) -> InputError:
    needed = _memory_of(task, smallest) / 1e9
    shrinkable = {
        "crop_size": "training.crop_size",
        "batch_size": "training.batch_size",
        "tile": "training.tile",
        "base_filters": "model.base_filters",
        "depth": "model.depth",
    }
    fix = f"Grant {needed + 0.05:.1f}"
    names = [where for name, where in shrinkable.items() if name in task.given]
    if names:
        fix += f", or give a smaller value, or none, for {' or '.join(names)}"
    return InputError(
        "budget.memory_gb",
        f"{task.memory / 1e9:g} GB do not suffice: the smallest training that fits what is given "
        f"({smallest.base_filters} filters, depth {smallest.depth}, batches of "
        f"{smallest.batch_size} crops of {smallest.crop_size} pixels) needs {needed:.2f} GB",
        fix,
    )
