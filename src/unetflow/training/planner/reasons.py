"""Reasons for a plan, in plain sentences."""

from unetflow.training.planner.schedule import (
    FEWEST_STEPS,
    TIME_SHARE,
    Schedule,
    trains_long_enough,
)
from unetflow.training.planner.sizes import DEEPEST, LARGEST_CROP, LEAST_DEEP_EDGE, deepest_edge
from unetflow.training.planner.task import PARAMETERS, Choice, Task

GIVEN = "given"


def give_reasons(task: Task, wanted: Choice, choice: Choice, schedule: Schedule) -> dict[str, str]:
    """Return a sentence without a full stop for each parameter of `PARAMETERS`.

    It stands under the name of the parameter without the section; "given" for what is given.
    `wanted` is what would be chosen regardless of memory.
    """
    sentences = {
        "depth": _why_depth(task, choice),
        "base_filters": _why_width(task, schedule),
        "crop": _why_crop(task, choice),
        "batch": "a usual batch where time and memory are scarce",
        "tile": "large windows waste the least on their overlap",
        **_why_schedule(task, schedule),
    }
    for name, before in vars(wanted).items():
        after = getattr(choice, name)
        if after != before:
            sentences[name] = (
                f"lowered from {before}, so that the training fits {task.memory / 1e9:g} GB"
            )
    return {
        parameter.rpartition(".")[2]: GIVEN if name in task.given else sentences[name]
        for name, parameter in PARAMETERS.items()
    }


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
    edge = task.median_edge
    if choice.crop > edge:
        return f"the smallest that the depth allows; the images' shorter median edge is {edge}"
    return (
        f"the largest size that fits the depth and the images' shorter median edge of {edge} "
        f"pixels, at most {LARGEST_CROP}"
    )


def _why_width(task: Task, schedule: Schedule) -> str:
    share = f"{TIME_SHARE:.0%} of {task.seconds / 60:g} min".replace("%", " %")
    if not trains_long_enough(task, schedule):
        return f"the narrowest, and even with it the steps that it needs do not fit into {share}"
    if {"epochs", "crops_per_image"} <= set(task.given):
        return f"the widest with which the given steps fit into {share}"
    return f"the widest with which at least {FEWEST_STEPS} steps fit into {share}"


def _why_schedule(task: Task, schedule: Schedule) -> dict[str, str]:
    minutes = f"{schedule.seconds / 60:.1f} of {task.seconds / 60:g} min"
    each = schedule.steps // schedule.epochs
    return {
        "epochs": f"{schedule.steps} steps and the validations take about {minutes}",
        "crops_per_image": f"gives epochs of {each} steps",
    }
