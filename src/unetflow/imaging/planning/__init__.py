"""Planning a training from the data, the memory and the minutes that are granted."""

from unetflow.imaging.planning.architecture import Architecture
from unetflow.imaging.planning.cost import Speed, Work, step_work
from unetflow.imaging.planning.memory import Validation, predict_memory
from unetflow.imaging.planning.plan import Plan, plan_training

__all__ = [
    "Architecture",
    "Plan",
    "Speed",
    "Validation",
    "Work",
    "plan_training",
    "predict_memory",
    "step_work",
]
