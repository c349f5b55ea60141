"""Fit of the confidence of objects on validation images."""

import logging
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from unetflow.config.mask_export import ObjectParameters
from unetflow.data.samples import Sample, SampleFolder
from unetflow.evaluation.object_matching import ObjectNumbers, find_true_objects, match_objects
from unetflow.evaluation.object_tuning import MOST_PIXELS
from unetflow.inference.postprocessing import NetworkOutputs, Postprocessing
from unetflow.inference.segmenter import Segmenter
from unetflow.instances.confidence import (
    Evidence,
    ObjectConfidence,
    Term,
    TruthSource,
    gather_evidence,
)

_log = logging.getLogger(__name__)

FEWEST_OBJECTS = 50
"""Found validation objects below which a line through up to six features is not fitted."""
_WEAKNESS = 10.0
"""Inverse of the strength of regularisation. With scikit-learn's default of 1, which the targets
make unnecessary, confidences keep too close to their mean."""
_TRUTHS: dict[TruthSource, str] = {
    "objects": "object of the samples",
    "pieces": "connected piece of the foreground, since no validation image numbers its objects",
}


def calibrate_confidence(segmenter: Segmenter, samples: SampleFolder) -> ObjectConfidence | None:
    """Fit the confidence of a segmenter's objects on validation samples, opened one at a time.

    True objects are those that samples number. Where no sample does, they are the connected pieces
    of the foreground: the confidence then tells pieces that were annotated from those that were
    not. Where touching objects are separated, but no numbered ones are there to compare with, there
    is no confidence, since the found objects are no pieces.

    The validation images have also chosen threshold, seeds and smallest object. Slightly more of
    the objects match there than in other images, so that confidences tend to be too high by the
    same; the reliability curve of the test objects in the report shows by how much. Training images
    are further from other images, and choosing the seeds again without each part of the validation
    images costs several times as long.

    Returns:
        The confidence; None where there are fewer than `FEWEST_OBJECTS` found objects, or no true
        ones to compare with.
    """
    numbered = [name for name in samples if samples.descriptions[name].get("has_instances")]
    postprocessing = segmenter.postprocessing
    if not numbered and postprocessing.separates:
        _log.info("Objects have no confidence, since no validation image numbers its objects")
        return None
    truth: TruthSource = "objects" if numbered else "pieces"
    evidence, matched = compare_objects(
        segmenter.predict_outputs,
        samples.select(numbered or list(samples)),
        samples.instances,
        postprocessing,
        truth,
    )
    fitted = fit_confidence(evidence, matched, truth)
    if fitted is None:
        message = "Objects have no confidence: it needs %d found validation objects, and %d are"
        _log.info(message, FEWEST_OBJECTS, len(matched))
    else:
        message = "Confidence of objects: of %d found in validation images, %d match an %s"
        _log.info(message, fitted.objects, fitted.matched, _TRUTHS[truth])
    return fitted


def compare_objects(
    predict: Callable[[NDArray[np.generic]], NetworkOutputs],
    samples: Mapping[str, Sample],
    numbers_of: Callable[[str], ObjectNumbers | None],
    postprocessing: Postprocessing,
    truth: TruthSource,
) -> tuple[Evidence, NDArray[np.bool_]]:
    """Compare the found objects of samples with the true ones.

    Of samples with more than `MOST_PIXELS` pixels together, some are taken, evenly chosen.

    Args:
        predict: Returns the outputs of an image, with calibrated probabilities.
        samples: Opened one at a time.
        numbers_of: Returns the numbers of a sample's true objects, None where unknown.
        postprocessing: Separates objects.
        truth: What true objects are.

    Returns:
        What is known of each found object, and which match a true one, `(objects,)`.
    """
    separating = postprocessing.with_objects(ObjectParameters())
    pixels = sum(sample.label.size for sample in samples.values())
    parts, matches = [Evidence.zeros(0)], [np.zeros(0, bool)]
    for sample_id in list(samples)[:: max(-(-pixels // MOST_PIXELS), 1)]:
        label = np.asarray(samples[sample_id].label)
        numbers = find_true_objects(label, numbers_of(sample_id), truth)
        if numbers is None:
            continue
        outputs = predict(samples[sample_id].image)
        objects = separating.segment(outputs).objects
        assert objects is not None  # noqa: S101 - there is a rule for them
        judged, matched = match_objects(label, numbers, objects)
        evidence = gather_evidence(objects, outputs.probabilities, outputs.landscape)
        parts.append(Evidence._make(values[judged] for values in evidence))
        matches.append(matched[judged])
    joined = Evidence._make(map(np.concatenate, zip(*parts, strict=True)))
    return joined, np.concatenate(matches)


def fit_confidence(
    evidence: Evidence, matched: NDArray[np.bool_], truth: TruthSource
) -> ObjectConfidence | None:
    """Fit the chance that an object matches; None for fewer than `FEWEST_OBJECTS`.

    It is a logistic regression on standardised features with weak L2 regularisation. The targets
    are not 1 and 0 but (m + 1) / (m + 2) for the m objects that match, and 1 / (u + 2) for the u
    others (Platt 1999, Probabilistic outputs for support vector machines), so that no chance
    becomes 0 or 1 where all objects are alike.

    Args:
        evidence: What is known of each object.
        matched: `(objects,)`, whether it matches a true object.
        truth: What the true objects were.
    """
    count, hits = len(matched), int(np.count_nonzero(matched))
    if count < FEWEST_OBJECTS:
        return None
    # Half a second, which commands that fit nothing need not spend.
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    features = {k: v for k, v in evidence.features().items() if np.isfinite(v).all()}
    scaler = StandardScaler()
    scaled = scaler.fit_transform(np.column_stack(list(features.values())))
    targets = np.where(matched, (hits + 1) / (hits + 2), 1 / (count - hits + 2))
    model = LogisticRegression(C=_WEAKNESS, max_iter=1000)
    # Each object stands once for either outcome, with its target as the weight.
    outcomes = np.repeat([True, False], count)
    model.fit(np.tile(scaled, (2, 1)), outcomes, np.concatenate([targets, 1 - targets]))
    weights = model.coef_[0] / scaler.scale_
    return ObjectConfidence(
        intercept=float(model.intercept_[0] - weights @ scaler.mean_),
        terms={
            name: Term(weight=float(weight), low=float(values.min()), high=float(values.max()))
            for (name, values), weight in zip(features.items(), weights, strict=True)
        },
        objects=count,
        matched=hits,
        truth=truth,
    )
