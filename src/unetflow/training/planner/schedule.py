"""The number of steps that fit into the time, and their epochs."""

from dataclasses import dataclass

from unetflow.training.planner.cost import Speed, prediction_work, step_work
from unetflow.training.planner.task import Choice, Task

TIME_SHARE = 0.8
"""Fraction of the minutes to plan with; the rest is for start, evaluation and chance."""

FEWEST_STEPS = 1000
FEWEST_STEPS_OF_AN_EPOCH = 25
FEWEST_EPOCHS, MOST_EPOCHS = 20, 100
_MOST_VALIDATION = 0.25
"""Largest fraction of the planned time for validation; above it, epochs are fewer and longer."""


@dataclass(frozen=True)
class Schedule:
    """How long to train.

    Attributes:
        epochs: Their number; each ends with a validation.
        crops_per_image: Crops of each image in an epoch.
        steps: Of the whole training.
        seconds: Of the whole training, validation included.
    """

    epochs: int
    crops_per_image: int
    steps: int
    seconds: float


def plan_schedule(task: Task, choice: Choice, speed: Speed) -> Schedule:
    """Fill the planned time with epochs.

    If neither epochs nor crops are given, epochs have 25 steps each, but there are 20 to 100 of
    them, and fewer where validation would take more than a quarter of the time; the crops of each
    image follow from that. If one is given, the other fills the time.
    """
    step, validation = measure_seconds(task, choice, speed)
    planned = TIME_SHARE * task.seconds

    def with_crops(crops: int) -> Schedule:
        steps = -(-task.fingerprint.samples["train"] * crops // choice.batch)
        seconds = steps * step + validation
        epochs = task.given.get("epochs") or max(1, int(planned / seconds))
        if not {"epochs", "crops_per_image"} & set(task.given):
            epochs = min(epochs, MOST_EPOCHS)
        return Schedule(epochs, crops, epochs * steps, epochs * seconds)

    if "crops_per_image" in task.given:
        return with_crops(task.given["crops_per_image"])
    epochs = task.given.get("epochs") or _aim_at_epochs(planned, step, validation)
    steps = (planned / epochs - validation) / step
    crops = max(1, int(steps * choice.batch / task.fingerprint.samples["train"]))
    more = with_crops(crops + 1)
    in_time = more.seconds <= planned
    return more if in_time and more.epochs >= FEWEST_EPOCHS else with_crops(crops)


def measure_seconds(task: Task, choice: Choice, speed: Speed) -> tuple[float, float]:
    """Return the seconds of a step and those of a validation of all images."""
    architecture = task.architecture(choice)
    image = prediction_work(architecture, *task.median_size, choice.tile)
    return (
        speed.seconds(step_work(architecture, choice.crop, choice.batch)),
        speed.seconds(image.times(task.fingerprint.samples.get("validation", 0))),
    )


def trains_long_enough(task: Task, schedule: Schedule) -> bool:
    """Return whether 1,000 steps, or all given ones, fit into the planned time."""
    if schedule.seconds > TIME_SHARE * task.seconds:
        return False
    return schedule.steps >= FEWEST_STEPS or {"epochs", "crops_per_image"} <= set(task.given)


def _aim_at_epochs(planned: float, step: float, validation: float) -> int:
    epochs = planned / (FEWEST_STEPS_OF_AN_EPOCH * step + validation)
    epochs = min(max(epochs, FEWEST_EPOCHS), MOST_EPOCHS)
    if validation:
        epochs = min(epochs, _MOST_VALIDATION * planned / validation)
    return max(1, int(epochs))
