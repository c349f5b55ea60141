"""The choice of the network's outputs that separate objects."""

from unetflow.config.model import ModelParameters
from unetflow.data.fingerprint import Fingerprint
from unetflow.data.object_sizes import ObjectStatistics

MANY_TOUCHING = 0.02
"""Fraction of the objects that touch another one, from which on they are worth separating."""
MANY_NUMBERED = 0.5
"""Fraction of the training samples that number their objects, from which on these are learned: in
the others a clump is one object, which teaches the opposite."""


def choose_instances(
    model: ModelParameters, fingerprint: Fingerprint
) -> tuple[ModelParameters, str]:
    """Settle `model.instances` where it is `auto`.

    Both outputs are chosen where at least half of the training samples number their objects and at
    least 2 % of these touch another one, else none.

    Returns:
        The parameters, and the reason as a sentence without a full stop; empty for a given value.
    """
    if model.instances != "auto":
        return model, ""
    chosen = "both" if is_worth_learning(fingerprint) else "none"
    return model.model_copy(update={"instances": chosen}), describe_touching(fingerprint)


def is_worth_learning(fingerprint: Fingerprint) -> bool:
    """Return whether enough training samples number their objects, and enough of these touch."""
    objects = fingerprint.objects
    return (
        objects is not None
        and not _number_few(fingerprint, objects)
        and objects.touching_fraction >= MANY_TOUCHING
    )


def describe_touching(fingerprint: Fingerprint) -> str:
    """Return in words what the choice depends on, such as how many objects touch another one."""
    objects = fingerprint.objects
    if objects is None:
        return "the training samples do not number their objects"
    if _number_few(fingerprint, objects):
        training = fingerprint.samples["train"]
        return f"only {objects.images} of the {training} training samples number their objects"
    share = f"{objects.touching_fraction:.1%}".replace("%", " %")
    return f"{share} of the {objects.objects} training objects touch another one"


def _number_few(fingerprint: Fingerprint, objects: ObjectStatistics) -> bool:
    return objects.images < MANY_NUMBERED * fingerprint.samples["train"]
