"""The plan of a training: network, crops and steps for the data, the memory and the minutes."""

from dataclasses import dataclass, replace
from typing import Any

from unetflow.config.model import ModelParameters, PlannedModel
from unetflow.config.parameters import BudgetParameters, Plan
from unetflow.config.training import PlannedTraining, TrainingParameters
from unetflow.core.errors import InputError
from unetflow.data.fingerprint import Fingerprint
from unetflow.training.planner.choices import (
    DEEPEST,
    LARGEST_CROP,
    LEAST_DEEP_EDGE,
    PARAMETERS,
    Choice,
    Task,
    choose_depth,
    deepest_edge,
    list_crops,
    smaller_choices,
)
from unetflow.training.planner.network_cost import Speed, prediction_work, step_work
from unetflow.training.planner.recipe import plan_recipe

_TIME_SHARE = 0.8
"""Fraction of the minutes to plan with; the rest is for start, evaluation and chance."""

_FEWEST_STEPS = 1000
"""Of the largest crops; of smaller ones as many more as show the same number of pixels, but at most
four times as many."""
_FEWEST_STEPS_OF_AN_EPOCH = 25
_FEWEST_EPOCHS, _MOST_EPOCHS = 25, 100
"""Each is validated at its end. They are planned for 80 % of the time, so 20 of the fewest remain
where all takes half as long again as predicted."""
_MOST_VALIDATION = 0.25
"""Largest fraction of the planned time for validation; above it, epochs are fewer and longer, and
with the fewest, not all validation images are scored."""

_LENGTH = {"epochs", "crops_per_image"}


@dataclass(frozen=True)
class Schedule:
    """How long to train; steps and seconds are those of all epochs, with their validations.

    None for steps of an epoch and for validation images: all.
    """

    epochs: int
    crops_per_image: int
    steps: int
    seconds: float
    steps_per_epoch: int | None = None
    validation_images: int | None = None


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
    2. Crop: as large as the images' shorter median edge and the depth allow, at most 256. Where
       objects are learned, at most four diameters of a large object, but 128 are allowed: more
       steps with small crops separate more objects in the same time.
    3. Batch: 4. Tile: 1024.
    4. Width: the largest of 64, 48, 32, 24, 16 and 8 filters with which 1,000 steps of crops of 256
       pixels, or 4,000 of 128 pixels, fit into 80 % of the minutes, or else 8: a small network that
       is trained long enough beats a large one that is not. On ISBI 2012, 152 steps of a large
       network took 20 minutes and gave a Dice of 0.68, where 16 filters gave 0.81 in the same time.
    5. Where the memory does not suffice: a smaller tile, then a smaller batch, then a smaller
       crop, then fewer filters, and last a smaller depth. When one of these shrinks, those before
       it start again at their largest, so that nothing is smaller than it must be.
    6. Steps: as many as fit into 80 % of the minutes, validation included. If neither epochs nor
       crops are given, epochs have 25 steps each, but there are 25 to 100 of them, and fewer of
       these where validation would take more than a quarter of the time; the crops of each image
       follow from that. If one is given, the other fills the time.
    7. Where one crop of each image is too much for an epoch of the fewest 25, an epoch takes a part
       of them. Where the validation images are too many, a fixed part of them is scored.

    Loss, class weights and the fraction of crops with foreground follow from the data alone; see
    `plan_recipe`.

    Returns:
        The parameters with what was chosen, and why. The predicted minutes exceed the budget where
        even the smallest network is too slow, or where what is given takes longer.

    Raises:
        InputError: The memory does not suffice for what is given, or a given crop does not fit
            the network.
    """
    training, reasons = plan_recipe(fingerprint, training)
    task = Task(fingerprint, budget, model, training, speed)
    wanted = _choose_by_time(task)
    choice = _fit_memory(task, wanted)
    schedule = _plan_schedule(task, choice)
    found = vars(choice) | vars(schedule)
    chosen: dict[str, Any] = {p.rpartition(".")[2]: found[name] for name, p in PARAMETERS.items()}
    chosen["minutes"] = training.minutes or budget.minutes
    chosen |= {name: found[name] for name in ("steps_per_epoch", "validation_images")}
    of_model = {name: chosen.pop(name) for name in ("depth", "base_filters")}
    return Plan(
        model=PlannedModel(**model.model_dump() | of_model),
        training=PlannedTraining(**training.model_dump() | chosen),
        reasons=_give_reasons(task, wanted, choice, schedule) | reasons,
        steps=schedule.steps,
        memory_gb=task.memory_of(choice) / 1e9,
        minutes=schedule.seconds / 60,
    )


def _choose_by_time(task: Task) -> Choice:
    """Choose regardless of memory."""
    depth = choose_depth(task)
    crop = list_crops(task, depth)[0]
    widths, batch, tile = (task.values_of(name) for name in ("base_filters", "batch", "tile"))
    choice = Choice(depth, widths[-1], crop, batch[0], tile[0])
    choices = (replace(choice, base_filters=width) for width in widths)
    return next(
        (c for c in choices if _is_long_enough(task, crop, _plan_schedule(task, c))), choice
    )


def _fit_memory(task: Task, wanted: Choice) -> Choice:
    """Return the first of the ever smaller choices that fits."""
    choice = wanted
    for choice in smaller_choices(task, wanted):
        if task.memory_of(choice) <= task.memory:
            return choice
    needed = task.memory_of(choice) / 1e9
    fix = f"Grant {needed + 0.05:.1f}"
    names = [PARAMETERS[name] for name in vars(choice) if name in task.given]
    if names:
        fix += f", or give a smaller value, or none, for {' or '.join(names)}"
    raise InputError(
        "budget.memory_gb",
        f"{task.memory / 1e9:g} GB do not suffice: the smallest training that fits what is given "
        f"({choice.base_filters} filters, depth {choice.depth}, batches of {choice.batch} crops of "
        f"{choice.crop} pixels) needs {needed:.2f} GB",
        fix,
    )


def _plan_schedule(task: Task, choice: Choice) -> Schedule:
    """Fill the planned time with epochs; see steps 6 and 7 of `plan_training`."""
    images, planned = task.fingerprint.samples["train"], _TIME_SHARE * task.seconds
    work = step_work(task.architecture(choice), choice.crop, choice.batch)
    step, (scored, validation) = task.speed.seconds(work), _plan_validation(task, choice)
    given = task.training.steps_per_epoch
    longest = max((planned / _FEWEST_EPOCHS - validation) / step, 1)

    def with_crops(crops: int) -> Schedule:
        whole = -(-images * crops // choice.batch)
        most = given or (whole if "epochs" in task.given else longest)
        steps = int(min(whole, most))
        seconds = steps * step + validation
        epochs = task.given.get("epochs") or max(1, int(planned / seconds))
        if not _LENGTH & set(task.given):
            epochs = min(epochs, _MOST_EPOCHS)
        part = given or (steps if steps < whole else None)
        return Schedule(epochs, crops, epochs * steps, epochs * seconds, part, scored)

    if "crops_per_image" in task.given:
        return with_crops(task.given["crops_per_image"])
    epochs = task.given.get("epochs") or _aim_at_epochs(planned, step, validation)
    steps = (planned / epochs - validation) / step
    crops = max(1, int(steps * choice.batch / images))
    more = with_crops(crops + 1)
    in_time = more.seconds <= planned and more.steps_per_epoch == given
    return more if in_time and more.epochs >= _FEWEST_EPOCHS else with_crops(crops)


def _plan_validation(task: Task, choice: Choice) -> tuple[int | None, float]:
    """Return how many validation images score an epoch, None for all, and the seconds it takes."""
    images, given = task.fingerprint.samples.get("validation", 0), task.training.validation_images
    work = prediction_work(task.architecture(choice), *task.median_size, choice.tile)
    each = task.speed.seconds(work)
    if given is not None or "epochs" in task.given:
        return given, min(given or images, images) * each
    most = _MOST_VALIDATION * _TIME_SHARE * task.seconds / _FEWEST_EPOCHS
    if images * each <= most:
        return None, images * each
    number = max(1, int(most / each))
    return (number, number * each) if number < images else (None, images * each)


def _aim_at_epochs(planned: float, step: float, validation: float) -> int:
    epochs = planned / (_FEWEST_STEPS_OF_AN_EPOCH * step + validation)
    epochs = min(max(epochs, _FEWEST_EPOCHS), _MOST_EPOCHS)
    if validation:
        epochs = min(epochs, max(_MOST_VALIDATION * planned / validation, _FEWEST_EPOCHS))
    return max(1, int(epochs))


def _is_long_enough(task: Task, crop: int, schedule: Schedule) -> bool:
    """Return whether the fewest steps, or all given ones, fit into the planned time."""
    in_time = schedule.seconds <= _TIME_SHARE * task.seconds
    return in_time and (schedule.steps >= _fewest_steps(crop) or set(task.given) >= _LENGTH)


def _fewest_steps(crop: int) -> int:
    return round(_FEWEST_STEPS * min(max(LARGEST_CROP / crop, 1), 2) ** 2)


def _give_reasons(task: Task, wanted: Choice, choice: Choice, schedule: Schedule) -> dict[str, str]:
    """Return a sentence without a full stop for each planned parameter; "given" for the others.

    `wanted` is what would be chosen regardless of memory.
    """
    minutes = f"{schedule.seconds / 60:.1f} of {task.seconds / 60:g} min"
    each = schedule.steps // schedule.epochs
    sentences = {
        "depth": _why_depth(task, choice),
        "base_filters": _why_width(task, choice.crop, schedule),
        "crop": _why_crop(task, choice),
        "batch": "a usual batch where time and memory are scarce",
        "tile": "large windows waste the least on their overlap",
        "epochs": f"{schedule.steps} steps and the validations take about {minutes}",
        "crops_per_image": f"gives epochs of {each} steps",
    }
    fitting = f"so that the training fits {task.memory / 1e9:g} GB"
    for name, before in vars(wanted).items():
        if getattr(choice, name) != before:
            sentences[name] = f"lowered from {before}, {fitting}"
    reasons = {
        parameter.rpartition(".")[2]: "given" if name in task.given else sentences[name]
        for name, parameter in PARAMETERS.items()
    }
    return reasons | _why_parts(task, schedule)


def _why_parts(task: Task, schedule: Schedule) -> dict[str, str]:
    """Return why not all crops or validation images are in an epoch, where a plan says so."""
    reasons = {}
    fewest = f"so that there are at least {_FEWEST_EPOCHS} epochs"
    if schedule.steps_per_epoch and task.training.steps_per_epoch is None:
        reasons["steps_per_epoch"] = f"a part of the images in each epoch, {fewest}"
    if schedule.validation_images and task.training.validation_images is None:
        images = task.fingerprint.samples["validation"]
        reasons["validation_images"] = f"of {images}, the same ones in each epoch, {fewest}"
    return reasons


def _why_depth(task: Task, choice: Choice) -> str:
    edge = deepest_edge(choice.depth, task.model.padding, choice.crop)
    if edge < LEAST_DEEP_EDGE:
        return f"the least that the crop allows; its deepest feature map is {edge} pixels wide"
    if choice.depth == DEEPEST:
        return f"the deepest U-Net that is planned; its deepest feature map is {edge} pixels wide"
    return (
        f"the deepest feature map is {edge} pixels wide; a deeper U-Net's would have less than "
        f"{LEAST_DEEP_EDGE}, or not fit the crop"
    )


def _why_crop(task: Task, choice: Choice) -> str:
    edge = min(task.median_size)
    if choice.crop > edge:
        return f"the smallest that the depth allows; the images' shorter median edge is {edge}"
    if task.object_diameter is not None and task.largest_crop < min(edge, LARGEST_CROP):
        return (
            f"enough for the objects, of which 90 % are smaller than a disk of "
            f"{task.object_diameter:.0f} pixels; small crops give more steps"
        )
    return (
        f"the largest size that fits the depth and the images' shorter median edge of {edge} "
        f"pixels, at most {LARGEST_CROP}"
    )


def _why_width(task: Task, crop: int, schedule: Schedule) -> str:
    share = f"{_TIME_SHARE:.0%} of {task.seconds / 60:g} min".replace("%", " %")
    if not _is_long_enough(task, crop, schedule):
        return f"the narrowest, and even with it the steps that it needs do not fit into {share}"
    if set(task.given) >= _LENGTH:
        return f"the widest with which the given steps fit into {share}"
    return f"the widest with which at least {_fewest_steps(crop)} steps fit into {share}"
