import logging
import math
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.measure import label as connected_components
from skimage.segmentation import watershed

from tests.instances.test_separation import disks
from unetflow.augmentation.object_targets import object_targets
from unetflow.config.mask_export import ObjectParameters
from unetflow.core.types import OBJECT_OUTPUTS
from unetflow.data.samples import INSTANCES, Sample, SampleFolder, write_sample
from unetflow.evaluation import object_tuning
from unetflow.evaluation.object_tuning import choose_separation, choose_watershed, tune_objects
from unetflow.inference.postprocessing import NetworkOutputs, Postprocessing
from unetflow.instances.separation import Separation, seed_landscape, separate_objects
from unetflow.io.tiff_writer import write_tiff
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
        predict, samples_of(numbers), lambda name: numbers[int(name)], TUNED, [0, 20]
    )
    assert score > 0.8
    assert chosen.temperature == 1.5
    assert chosen.objects is None
    assert chosen.min_object_size == 20
    for index, true in enumerate(numbers):
        outputs = predict(samples_of(numbers)[str(index)].image)
        ready = chosen.with_objects(ObjectParameters())
        found = ready.separate(ready.apply(outputs.probabilities), outputs.landscape)
        assert len(found.classes) == true.max()


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
    predict = network_for([SPLIT])
    chosen, _ = choose_separation(predict, samples, lambda name: SPLIT, TUNED, [0, 20])
    assert chosen.min_object_size == 0  # the false object lies there


def plain_network(image):
    """Return the foreground that an image shows, without outputs for objects."""
    return NetworkOutputs((image / 255).astype(np.float32), None)


def shown(numbers, background=0):
    """Return samples whose images are bright where there are objects."""
    return {
        str(index): Sample(
            np.where(true > 0, 230, background).astype(np.uint8)[:, :, np.newaxis],
            np.minimum(true, 1).astype(np.uint8),
        )
        for index, true in enumerate(numbers)
    }


def count(postprocessing, sample):
    return len(objects_of(postprocessing, sample).classes)


def objects_of(postprocessing, sample):
    ready = postprocessing.with_objects(ObjectParameters())
    return ready.segment(plain_network(sample.image)).objects


def fit(numbers, sizes=(0,), tuned=TUNED):
    return choose_watershed(
        plain_network, shown(numbers), lambda name: numbers[int(name)], tuned, sizes
    )


def test_a_watershed_is_fitted_where_objects_touch_and_is_that_of_scikit_image():
    numbers = [CLUMP, SPLIT]
    chosen, score = fit(numbers)
    assert score > 0.85
    rule = chosen.fitted
    assert (rule.method, chosen.objects, chosen.separation) == ("watershed", None, None)
    for index, true in enumerate(numbers):
        sample = shown(numbers)[str(index)]
        found = objects_of(chosen, sample).numbers
        assert len(np.unique(found)) == len(np.unique(true))
        distance = ndimage.distance_transform_edt(true > 0)
        pieces = connected_components(true > 0, connectivity=2)
        peaks = peak_local_max(
            distance,
            min_distance=rule.min_distance,
            threshold_abs=np.nextafter(rule.min_height, 0),
            labels=pieces,
            exclude_border=False,
            p_norm=2,
        )
        markers = np.zeros(true.shape, int)
        markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
        expected = watershed(-distance, markers, np.ones((3, 3)), mask=true > 0)
        assert mean_f1(expected, found) == 1


def test_no_pair_of_values_is_better_than_the_fitted_ones():
    numbers = [CLUMP, SPLIT]
    chosen, score = fit(numbers)
    radius = object_tuning._median_radius(
        [object_tuning._Case(np.minimum(n, 1), n, None) for n in numbers]
    )
    for distance in object_tuning._distances(radius):
        for height in (1.0, 2.0, 4.0, 6.0):
            other = ObjectParameters(method="watershed", min_distance=distance, min_height=height)
            candidate = chosen.model_copy(update={"fitted": other})
            f1 = [
                mean_f1(true, objects_of(candidate, shown(numbers)[str(index)]).numbers)
                for index, true in enumerate(numbers)
            ]
            assert np.mean(f1) <= score + 1e-9


RING = disks((30, 30), radius=20) * (disks((30, 30), radius=14) == 0)
NESTED = RING + 2 * disks((30, 30), radius=7)
DOTS = np.zeros((60, 60), np.uint16)
DOTS[[5, 20, 40], [5, 30, 50]] = 1, 2, 3


@pytest.mark.parametrize("true", [RING, NESTED, DOTS], ids=["ring", "nested", "dots"])
def test_rings_nested_and_one_pixel_objects_stay_whole(true):
    chosen, score = fit([true])
    assert (chosen, score) == (TUNED, 1)
    found = objects_of(chosen, shown([true])["0"]).numbers
    assert mean_f1(true, found) == 1


def test_what_touches_is_separated_beside_a_nested_object_and_a_dot():
    together = np.zeros((60, 130), np.uint16)
    together[:, :60], together[:, 70:] = SPLIT, NESTED * 3
    together[57, 65] = 20
    chosen, score = fit([together])
    numbers = objects_of(chosen, shown([together])["0"]).numbers
    assert chosen.fitted is not None
    assert score > 0.75
    inner = numbers[:, 70:][NESTED == 2]
    assert len(np.unique(inner)) == 1
    assert inner[0] not in numbers[:, 70:][NESTED == 1]
    assert np.count_nonzero(numbers == numbers[57, 65]) == 1


def test_threshold_and_smallest_object_are_tuned_with_the_watershed():
    sample = shown([SPLIT], background=20)["0"]
    sample.image[2:5, 50:53] = 230  # a false object of 9 pixels
    sample.image[SPLIT == 0] = np.maximum(sample.image[SPLIT == 0], 0)
    rim = ndimage.binary_dilation(SPLIT > 0, np.ones((3, 3))) & (SPLIT == 0)
    sample.image[rim] = 140  # found at a threshold of 0.5
    chosen, score = choose_watershed(
        plain_network, {"0": sample}, lambda name: SPLIT, TUNED, [0, 20]
    )
    assert score == pytest.approx(1, abs=0.11)
    assert chosen.threshold > 140 / 255
    assert chosen.min_object_size == 20
    assert chosen.temperature == TUNED.temperature


def test_an_own_value_is_not_replaced_by_a_fitted_one():
    chosen, _ = fit([SPLIT])
    sample = shown([SPLIT])["0"]
    assert count(chosen, sample) == 2
    outputs = plain_network(sample.image)
    for own, expected in (
        (ObjectParameters(method="components"), 1),
        (ObjectParameters(method="watershed", min_distance=50), 1),
        (ObjectParameters(method="auto", connectivity="edges"), 2),
    ):
        found = chosen.with_objects(own).segment(outputs).objects
        assert len(found.classes) == expected


def test_without_objects_nothing_is_fitted():
    nothing = np.zeros((20, 20), np.uint16)
    for samples, numbers_of in (({}, None), (shown([nothing]), lambda name: nothing)):
        chosen, score = choose_watershed(plain_network, samples, numbers_of, TUNED)
        assert chosen is TUNED
        assert math.isnan(score)


TWO = np.zeros((20, 40), np.uint8)  # squares of two classes that touch, and two of one class
TWO[2:12, 2:12], TWO[2:12, 12:22] = 1, 2
TWO[2:12, 26:36] = 1
TWO_NUMBERS = TWO.astype(np.uint16)
TWO_NUMBERS[2:12, 31:36] = 3
TWO_NUMBERS[2:12, 26:31] = 4


def test_touching_objects_of_two_classes_by_hand():
    """Classes part the squares; the third is two halves, which only the network's seeds part."""
    probabilities = np.eye(3, dtype=np.float32)[TWO]
    landscape = seed_landscape(object_targets(TWO_NUMBERS, NAMES) / np.float32(255), NAMES)
    outputs = NetworkOutputs(probabilities, landscape)
    samples = {"0": Sample(np.zeros((20, 40, 1), np.uint8), TWO)}
    tuned = Postprocessing(threshold=None)
    chosen, score = choose_separation(
        lambda image: outputs, samples, lambda name: TWO_NUMBERS, tuned, [0, 9]
    )
    assert score == 1
    assert (chosen.threshold, chosen.min_object_size) == (None, 0)
    found = chosen.with_objects(ObjectParameters()).segment(outputs).objects
    assert sorted(found.classes.tolist()) == [1, 1, 1, 2]
    assert mean_f1(TWO_NUMBERS, found.numbers) == 1
    assert count_pieces(chosen, outputs) == 3


def count_pieces(postprocessing, outputs):
    rule = ObjectParameters(method="components")
    return len(postprocessing.with_objects(rule).segment(outputs).objects.classes)


def test_an_object_of_the_wrong_class_is_no_hit():
    numbers = np.array([[1, 1, 0, 2, 2]], np.uint16)
    label = np.array([[1, 1, 0, 2, 2]], np.uint8)
    rule = Postprocessing(threshold=None).with_objects(ObjectParameters())
    for found, expected in (([1, 1, 0, 2, 2], 1), ([1, 1, 0, 1, 1], (2 / 3 + 0) / 2), ([0] * 5, 0)):
        outputs = NetworkOutputs(np.eye(3, dtype=np.float32)[[found]], None)
        case = object_tuning._Case(label, numbers, outputs)
        assert case.score(rule)[0] == pytest.approx(expected)


def store(folder, sample_id, numbers, true=None):
    """Write a sample, with the numbers of its objects if they are given, and describe it."""
    (sample,) = shown([numbers]).values()
    write_sample(folder / sample_id, sample)
    if true is not None:
        write_tiff(folder / sample_id / INSTANCES, true)
    return {"has_instances": true is not None, "objects": int((numbers > 0).any())}


def tune(folder, descriptions, splits, object_outputs=()):
    segmenter = SimpleNamespace(
        postprocessing=TUNED,
        settings=SimpleNamespace(object_outputs=object_outputs),
        predict_outputs=plain_network,
    )
    samples = SampleFolder(folder, descriptions)
    chosen = {name: samples.select(ids) for name, ids in splits.items()}
    return tune_objects(segmenter, chosen, [0])


def test_corrected_samples_of_any_split_are_tuned_on_and_the_log_says_which(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    known = {
        "a": store(tmp_path, "a", SPLIT, SPLIT),
        "b": store(tmp_path, "b", CLUMP),
        "c": store(tmp_path, "c", SPLIT * 0, SPLIT * 0),
    }
    validated = tune(tmp_path, known, {"validation": ["a", "b"], "training": ["c"]})
    assert "Objects of the validation images" in caplog.text
    assert "by a watershed with min_distance" in caplog.text
    caplog.clear()
    trained = tune(tmp_path, known, {"validation": ["b", "c"], "training": ["a"]})
    assert "Objects of the training images" in caplog.text
    assert "since no validation image numbers any" in caplog.text
    assert validated == trained
    assert trained.fitted is not None
    caplog.clear()
    assert tune(tmp_path, known, {"validation": ["b"], "training": ["c"]}) == TUNED
    assert "No sample numbers its objects" in caplog.text


def test_a_network_with_outputs_for_objects_has_seeds_even_where_nothing_is_numbered(tmp_path):
    known = {"b": store(tmp_path, "b", CLUMP)}
    untuned = tune(tmp_path, known, {"validation": ["b"], "training": []}, ("distance",))
    start = Separation(seed_threshold=0.1, min_distance=2, prominence=0.1)
    assert untuned.separation == start
    assert untuned.fitted is None


def test_candidates_are_compared_on_a_part_of_many_training_images(tmp_path, monkeypatch):
    monkeypatch.setattr(object_tuning, "MOST_PIXELS", 2 * SPLIT.size)
    known = {f"{n}": store(tmp_path, f"{n}", SPLIT, SPLIT) for n in range(6)}
    seen = []
    samples = SampleFolder(tmp_path, known)

    def predict(image):
        seen.append(image)
        return plain_network(image)

    choose_watershed(predict, samples, samples.instances, TUNED)
    assert len(seen) == 2


class Rated:
    """An image with its F1 and objects too many or too few for each smallest object."""

    def __init__(self, objects, ratings):
        self.numbers, self.ratings, self.asked = np.arange(objects + 1), ratings, []

    def score(self, postprocessing):
        self.asked.append(postprocessing.min_object_size)
        return self.ratings[postprocessing.min_object_size]


def test_candidates_are_compared_by_the_f1_less_half_of_the_error_of_the_count():
    one = Rated(30, {0: (0.80, 9), 5: (0.78, 4), 10: (0.74, 3), 15: (0.3, 0)})
    two = Rated(10, {0: (0.70, 1), 5: (0.68, 0), 10: (0.64, 1), 15: (0.3, 0)})
    search = object_tuning._Search([one, two])
    sizes = [TUNED.model_copy(update={"min_object_size": size}) for size in (0, 5, 10, 15)]
    ranks = [search.rank(candidate) for candidate in sizes]
    assert ranks == pytest.approx([0.75 - 5 / 40, 0.73 - 2 / 40, 0.69 - 2 / 40, 0.3])
    best = search.ascend(sizes[0], [lambda best: sizes])
    assert best.min_object_size == 5
    assert search.f1(best) == pytest.approx(0.73)
    assert sorted(one.asked) == [0, 5, 10, 15]  # each candidate is tried once


def test_small_and_large_objects_part_where_no_distance_suits_both():
    """Long cells have bumps that are 25 pixels apart, and tiny ones lie 8 pixels apart."""
    numbers = np.zeros((140, 140), np.uint16)
    numbers[10:35, 10:130], numbers[50:75, 10:130] = 1, 2
    for place in ((100, 20), (100, 28), (120, 60), (120, 68)):
        numbers[disks(place, shape=(140, 140), radius=4) > 0] = numbers.max() + 1
    outputs = object_targets(numbers, ("distance",)) / np.float32(255)
    bumps = 1 + np.cos(np.arange(140, dtype=np.float32) / 4)[np.newaxis, :, np.newaxis]
    outputs = np.where(
        np.isin(numbers, [1, 2])[:, :, np.newaxis], outputs * (1 - bumps / 30), outputs
    )
    landscape = seed_landscape(outputs, ("distance",))
    foreground = (numbers > 0).astype(np.float32)[:, :, np.newaxis]
    label = np.minimum(numbers, 1).astype(np.uint8)
    samples = {"0": Sample(np.zeros((140, 140, 1), np.uint8), label)}
    chosen, score = choose_separation(
        lambda image: NetworkOutputs(foreground, landscape), samples, lambda name: numbers, TUNED
    )
    assert chosen.separation.prominence > 0
    assert score > 0.9
    ready = chosen.with_objects(ObjectParameters())
    found = ready.segment(NetworkOutputs(foreground, landscape)).objects
    assert len(found.classes) == numbers.max()
    alone = [
        chosen.separation.model_copy(update={"prominence": 0.0, "min_distance": distance})
        for distance in range(1, 31)
    ]
    found = [separate_objects(numbers > 0, landscape, rule) for rule in alone]
    assert max(mean_f1(numbers, objects) for objects in found) < score - 0.2
