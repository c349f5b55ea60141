"""Ensembles: several segmenters as one."""

from collections.abc import Sequence
from typing import TypeVar

import keras
import numpy as np

from unetflow.config.mask_export import ObjectParameters
from unetflow.inference.postprocessing import Postprocessing
from unetflow.inference.segmenter import Segmenter
from unetflow.instances.confidence import average_confidences
from unetflow.instances.separation import Separation

_Rule = TypeVar("_Rule", Separation, ObjectParameters)


def average_segmenters(segmenters: Sequence[Segmenter]) -> Segmenter:
    """Return a segmenter whose probabilities are the means of several of one architecture.

    Each member scales raw images as in its training. The threshold is the mean of theirs, the
    temperature the geometric mean, and the smallest object the median; so are the values of the
    seeds that separate objects, where all members have them. The weights of the confidence of
    objects are means, where all members have one.
    """
    settings = segmenters[0].settings
    inputs = keras.Input(segmenters[0].model.input_shape[1:], name="raw_image")
    members = [_rename(s.model, f"member_{i}") for i, s in enumerate(segmenters)]
    outputs = keras.layers.Average(name="mean")([member(inputs) for member in members])
    model = keras.Model(inputs, outputs, name="ensemble")
    each = [s.settings.postprocessing for s in segmenters]
    thresholds = [p.threshold for p in each if p.threshold is not None]
    postprocessing = Postprocessing(
        threshold=float(np.mean(thresholds)) if thresholds else None,
        temperature=float(np.exp(np.mean(np.log([p.temperature for p in each])))),
        min_object_size=round(float(np.median([p.min_object_size for p in each]))),
        separation=_average_seeds([p.separation for p in each]),
        fitted=_average_seeds([p.fitted for p in each]),
        confidence=average_confidences([p.confidence for p in each]),
    )
    return Segmenter(model, settings.model_copy(update={"postprocessing": postprocessing}))


def _average_seeds(rules: Sequence[_Rule | None]) -> _Rule | None:
    """Return the rule with the median of each number; None unless each member has one."""
    known = [rule for rule in rules if rule is not None]
    if len(known) < len(rules):
        return None
    changes: dict[str, float] = {}
    for name, value in known[0]:
        if isinstance(value, int | float):
            median = float(np.median([getattr(rule, name) for rule in known]))
            changes[name] = round(median) if isinstance(value, int) else median
    return known[0].model_copy(update=changes)


def _rename(model: keras.Model, name: str) -> keras.Model:
    """Return a copy with another name: names are unique within a model."""
    copy = keras.Model.from_config({**model.get_config(), "name": name})
    copy.set_weights(model.get_weights())
    return copy
