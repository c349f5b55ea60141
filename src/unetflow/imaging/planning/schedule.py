"""How many steps fit into the time, and into how many epochs they are divided."""

from dataclasses import dataclass

from unetflow.imaging.planning.cost import Speed, prediction_work, step_work
from unetflow.imaging.planning.task import Choice, Task

TIME_SHARE = 0.8
"""Share of the minutes that is planned; the rest is for the start, the evaluation and chance."""

FEWEST_STEPS = 1000
FEWEST_STEPS_OF_AN_EPOCH = 25
FEWEST_EPOCHS, MOST_EPOCHS = 20, 100
_MOST_VALIDATION = 0.25
"""Largest share of the planned time for validation; above it, epochs become fewer and longer."""


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

    Without any given number, there are as many epochs as have 25 steps each, but between 20 and
    100, and fewer where validation would take more than a quarter of the time. Then each image
    gives as many crops as fit, but at least one.
    """
    step, validation = measure_seconds(task, choice, speed)
    planned = TIME_SHARE * task.seconds
    epochs = task.given.get("epochs") or _aim_at_epochs(planned, step, validation)
    crops = task.given.get("crops_per_image")
    if crops is None:
        steps_of_epoch = (planned / epochs - validation) / step
        crops = max(1, int(steps_of_epoch * choice.batch_size / task.training_images))
    steps_of_epoch = -(-task.training_images * crops // choice.batch_size)
    epoch = steps_of_epoch * step + validation
    if "epochs" not in task.given:
        epochs = max(1, int(planned / epoch))
        if "crops_per_image" not in task.given:
            epochs = min(epochs, MOST_EPOCHS)
    return Schedule(epochs, crops, epochs * steps_of_epoch, epochs * epoch)


def measure_seconds(task: Task, choice: Choice, speed: Speed) -> tuple[float, float]:
    """Return the seconds of a step and those of a validation of all images."""
    architecture = task.architecture(choice.depth, choice.base_filters)
    image = prediction_work(architecture, *task.median_size, choice.tile)
    return (
        speed.seconds(step_work(architecture, choice.crop_size, choice.batch_size)),
        speed.seconds(image.times(task.validation_images)),
    )


def trains_long_enough(task: Task, schedule: Schedule) -> bool:
    """Tell whether there are 1,000 steps, or all that are given, in the planned time."""
    if {"epochs", "crops_per_image"} <= set(task.given):
        return schedule.seconds <= TIME_SHARE * task.seconds
    in_time = schedule.seconds <= TIME_SHARE * task.seconds
    return in_time and schedule.steps >= FEWEST_STEPS


def _aim_at_epochs(planned: float, step: float, validation: float) -> int:
    epochs = planned / (FEWEST_STEPS_OF_AN_EPOCH * step + validation)
    epochs = min(max(epochs, FEWEST_EPOCHS), MOST_EPOCHS)
    if validation:
        epochs = min(epochs, _MOST_VALIDATION * planned / validation)
    return max(1, int(epochs))
