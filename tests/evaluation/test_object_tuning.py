import math

import numpy as np
import pytest
from scipy import ndimage

from tests.instances.test_separation import disks
from unetflow.augmentation.object_targets import object_targets
from unetflow.config.mask_export import ObjectParameters
from unetflow.core.types import OBJECT_OUTPUTS
from unetflow.data.samples import Sample
from unetflow.evaluation import object_tuning
from unetflow.evaluation.object_tuning import choose_separation
from unetflow.inference.postprocessing import NetworkOutputs, Postprocessing
from unetflow.instances.separation import seed_landscape
from unetflow.metrics.regions import IOU_PERCENTAGES, mean_f1, score_instances
from unetflow.metrics.shared import ClassMasks

NAMES = OBJECT_OUTPUTS["both"]
TUNED = Postprocessing(threshold=0.5, temperature=1.5)
CLUMP = disks((15, 15), (15, 29), (29, 22), (45, 45))
SPLIT = disks((20, 20), (20, 33))


def network_for(numbers):
    """Return a network that knows the objects, blurred, and small false ones besides."""

    def predict(image):
        true = numbers[int(image[0, 0, 0])]
        foreground = np.clip((true > 0) + 0.3 * (image[:, :, 0] == 7), 0, 0.9).astype(np.float32)
        foreground[2:5, 50:53] = 0.8
        outputs = object_targets(true, NAMES) / np.float32(255)
        return NetworkOutputs(foreground[:, :, np.newaxis], seed_landscape(outputs, NAMES))

    return predict


def samples_of(numbers):
    samples = {}
    for index, true in enumerate(numbers):
        image = np.zeros((60, 60, 1), np.uint8)
        image[0, 0] = index
        samples[str(index)] = Sample(image, np.minimum(true, 1).astype(np.uint8))
    return samples


def test_the_mean_f1_is_that_of_the_scores():
    found = np.where(CLUMP == 4, 0, CLUMP)
    found[50:55, 5:9] = 9
    truth, label = (np.minimum(n, 1).astype(np.uint8) for n in (CLUMP, found))
    assert mean_f1(CLUMP, CLUMP) == 1
    assert mean_f1(CLUMP, found) == pytest.approx(2 * 3 / (4 + 4))
    assert mean_f1(found * 0, found * 0) == 1
    assert mean_f1(found * 0, found) == 0
    pieces = np.where(CLUMP == 4, 2, np.minimum(CLUMP, 1))
    scores = score_instances(ClassMasks.of(truth, label, 1), pieces)
    expected = np.mean([scores[f"object_f1_iou{bound}"] for bound in IOU_PERCENTAGES])
    assert mean_f1(pieces, ndimage.label(label, np.ones((3, 3)))[0]) == pytest.approx(expected)


def test_seeds_and_smallest_object_are_chosen_together():
    numbers = [CLUMP, SPLIT]
    predict = network_for(numbers)
    chosen, score = choose_separation(
        predict, samples_of(numbers), lambda name: numbers[int(name)], TUNED
    )
    assert score > 0.8
    assert chosen.temperature == 1.5
    assert chosen.objects is None
    assert chosen.min_object_size > 9
    for index, true in enumerate(numbers):
        outputs = predict(samples_of(numbers)[str(index)].image)
        ready = chosen.with_objects(ObjectParameters())
        found = ready.separate(ready.apply(outputs.probabilities), outputs.landscape)
        assert len(found.classes) == true.max()


def test_the_smallest_object_costs_at_most_one_true_object_of_a_hundred():
    areas = np.array([5] * 3 + [100] * 197)
    assert max(object_tuning._sizes(areas)) <= 5
    assert object_tuning._sizes(np.array([50] * 10)) == [0, 25, 50]
    many = np.arange(1, 1001)
    assert np.mean(many < max(object_tuning._sizes(many))) <= 0.01


def test_without_numbered_objects_the_threshold_stays():
    chosen, score = choose_separation(
        network_for([CLUMP]), samples_of([CLUMP]), lambda name: None, TUNED
    )
    assert math.isnan(score)
    assert (chosen.threshold, chosen.min_object_size) == (0.5, 0)
    assert chosen.separation is not None


def test_ignored_pixels_count_for_nobody():
    label = np.minimum(SPLIT, 1).astype(np.uint8)
    label[:, 45:] = 255
    samples = {"0": Sample(samples_of([SPLIT])["0"].image, label)}
    chosen, _ = choose_separation(network_for([SPLIT]), samples, lambda name: SPLIT, TUNED)
    assert chosen.min_object_size == 0  # the false object lies there
