"""The choice of the network's outputs that separate objects."""

from unetflow.config.model import ModelParameters
from unetflow.data.fingerprint import Fingerprint

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
    touching = describe_touching(fingerprint)
    if model.instances != "auto":
        return model, ""
    objects = fingerprint.objects
    if objects is None:
        return _with(model, "none"), touching
    training = fingerprint.samples["train"]
    if objects.images < MANY_NUMBERED * training:
        few = f"only {objects.images} of the {training} training samples number their objects"
        return _with(model, "none"), few
    enough = objects.touching_fraction >= MANY_TOUCHING
    return _with(model, "both" if enough else "none"), touching


def describe_touching(fingerprint: Fingerprint) -> str:
    """Return in words how many of the training objects touch another one."""
    objects = fingerprint.objects
    if objects is None:
        return "the training samples do not number their objects"
    share = f"{objects.touching_fraction:.1%}".replace("%", " %")
    return f"{share} of the {objects.objects} training objects touch another one"


def _with(model: ModelParameters, instances: str) -> ModelParameters:
    return model.model_copy(update={"instances": instances})
