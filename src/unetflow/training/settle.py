"""What a training leaves to the machine and the data."""

from unetflow.augmentation.weight_map import list_class_weights
from unetflow.config.parameters import Plan
from unetflow.config.training import PlannedTraining
from unetflow.core.parallel import count_cores
from unetflow.data.fingerprint import Fingerprint
from unetflow.models.device import has_gpu
from unetflow.training.precision import choose_precision


def settle_training(plan: Plan, fingerprint: Fingerprint) -> PlannedTraining:
    """Choose precision and processes for this machine, and class weights for the data.

    Args:
        plan: What `training` says; a weight map already holds the weights of the classes.
        fingerprint: Of the training split.
    """
    training = plan.training
    processes = training.processes
    if processes is None:
        processes = count_cores() if has_gpu() else 0
    weights = None
    if training.weight_map is None:
        weights = list_class_weights(training, fingerprint)
    return training.model_copy(
        update={
            "precision": choose_precision(training.precision, plan.model.base_filters),
            "processes": processes,
            "class_weights": "none" if weights is None else weights,
        }
    )
