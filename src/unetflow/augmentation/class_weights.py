"""Weights of the classes in the loss."""

from collections.abc import Sequence

from unetflow.config.training import TrainingParameters
from unetflow.data.fingerprint import Fingerprint


def balance_classes(frequencies: Sequence[float]) -> tuple[float, ...]:
    """Return weights with which all classes contribute equally.

    The weight of a class of frequency f among K classes is 1 / (K f), so that the mean weight of a
    pixel is 1.

    Args:
        frequencies: Each class's fraction of the training pixels; they sum to 1.

    Returns:
        A weight for each class. An absent class gets the largest of the others, or 1.
    """
    weights = [1 / (len(frequencies) * f) if f > 0 else None for f in frequencies]
    largest = max((weight for weight in weights if weight is not None), default=1.0)
    return tuple(largest if weight is None else weight for weight in weights)


def list_class_weights(
    training: TrainingParameters, fingerprint: Fingerprint
) -> list[float] | None:
    """Return the weight of each class that `class_weights` asks for; None: all count the same."""
    if training.class_weights == "balanced":
        return list(balance_classes(list(fingerprint.class_frequencies.values())))
    return None if training.class_weights == "none" else training.class_weights
