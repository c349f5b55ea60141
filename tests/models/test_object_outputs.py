import keras
import numpy as np
import pytest

from unetflow.core.types import OBJECT_OUTPUTS
from unetflow.models.segmentation_loss import SegmentationLoss, dice
from unetflow.models.unet import (
    build_unet,
    count_heads,
    geometry_of,
    list_object_outputs,
    name_instances,
    without_deep_supervision,
)

NAMES = [name for name in OBJECT_OUTPUTS if name != "none"]


def small(**options):
    return build_unet((16, 16, 1), base_filters=2, **{"depth": 2, **options})


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("instances", NAMES)
def test_outputs_for_objects_follow_the_probabilities(instances, classes):
    unet = small(instances=instances, classes=classes, deep_supervision=1)
    outputs = OBJECT_OUTPUTS[instances]
    assert unet.output_shape == (None, 16, 16, 2 * classes + len(outputs))
    assert count_heads(unet) == 2
    assert list_object_outputs(unet) == outputs
    assert name_instances(unet) == instances
    assert geometry_of(unet) == geometry_of(small())
    alone = without_deep_supervision(unet)
    assert alone.output_shape == (None, 16, 16, classes + len(outputs))
    assert name_instances(alone) == instances
    image = np.random.default_rng(0).random((1, 16, 16, 1), np.float32)
    all_of_them, own = np.array(unet(image)), np.array(alone(image))
    np.testing.assert_array_equal(own[..., :classes], all_of_them[..., :classes])
    np.testing.assert_array_equal(own[..., classes:], all_of_them[..., 2 * classes :])
    assert own.min() >= 0
    assert own.max() <= 1


def test_a_network_without_them_is_what_it_was():
    keras.utils.set_random_seed(1)
    before = small()
    keras.utils.set_random_seed(1)
    after = small(instances="none")
    assert [layer.name for layer in before.layers] == [layer.name for layer in after.layers]
    for one, other in zip(before.get_weights(), after.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def slow_loss(truth, found, name):
    """Return the loss of an output of one image from its definition."""
    label, weight, target = (truth[..., n].astype(float) for n in range(3))
    counted = label != 255
    p = np.clip(found.astype(float), 1e-7, 1 - 1e-7)
    if name == "distance":
        error, inside = weight * np.abs(found - target), counted & (target > 0)
        return error[counted].sum() / counted.sum() + error[inside].sum() / max(inside.sum(), 1)
    entropy = -(target * np.log(p) + (1 - target) * np.log(1 - p))
    overlap = 2 * (found * target)[counted].sum() + 1
    size = found[counted].sum() + target[counted].sum() + 1
    return (weight * entropy)[counted].sum() / counted.sum() + 1 - overlap / size


@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("instances", NAMES)
def test_their_losses_are_added_with_weights_and_without_ignored_pixels(instances, heads):
    names = OBJECT_OUTPUTS[instances]
    random = np.random.default_rng(2)
    truth = random.random((2, 6, 5, 2 + len(names)), np.float32)
    truth[..., 0] = random.choice([0, 1, 255], (2, 6, 5))
    truth[..., 2:] *= truth[..., 2:] > 0.5
    truth[1, ..., 2:] = 0  # an image without objects
    found = random.random((2, 6, 5, heads + len(names)), np.float32)
    loss = SegmentationLoss({"bce": 1, "dice": 1}, outputs=heads, instances=instances)
    plain = SegmentationLoss({"bce": 1, "dice": 1}, outputs=heads)
    expected = np.array(plain.call(truth[..., :2], found[..., :heads]))
    for number, name in enumerate(names):
        for image in range(2):
            part = truth[image][..., [0, 1, 2 + number]]
            expected[image] += slow_loss(part, found[image, ..., heads + number], name)
    np.testing.assert_allclose(loss.call(truth, found), expected, rtol=1e-5)
    spoilt = np.where(truth[..., :1] == 255, 0.5, found).astype(np.float32)
    np.testing.assert_allclose(loss.call(truth, spoilt), expected, rtol=1e-5)
    restored = SegmentationLoss.from_config(loss.get_config())
    np.testing.assert_array_equal(restored.call(truth, found), loss.call(truth, found))
    expected_dice = dice(truth[..., :1], found[..., :1])
    found_dice = dice(truth, found, outputs=heads, instances=instances)
    np.testing.assert_array_equal(found_dice, expected_dice)
