import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import yaml

from tests.support.images import random_pixels
from unetflow.augmentation.policy import TRANSFORMS, Augmenter, build_policy
from unetflow.config.augmentation import AugmentationParameters
from unetflow.core.errors import InputError

NOTHING = AugmentationParameters(
    flips=False,
    right_angle_rotations=False,
    rotation=0,
    shift=0,
    scale=0,
    elastic_grid=0,
    elastic_displacement=0,
    elastic_smoothness=8,
    brightness=0,
    contrast=0,
    noise=0,
)
FULL = build_policy(
    AugmentationParameters(
        flips=True,
        right_angle_rotations=True,
        rotation=30,
        shift=0.1,
        scale=0.2,
        elastic_grid=2,
        elastic_displacement=2,
        elastic_smoothness=5,
        brightness=0.1,
        contrast=0.2,
        noise=0.05,
    )
)


def policy_of(**settings):
    return build_policy(NOTHING.model_copy(update=settings))


def always(policy):
    return [{**step, "p": 1.0} for step in policy]


def crop(size=24, channels=1):
    label = np.kron(random_pixels((size // 4, size // 4)) % 4, np.ones((4, 4), np.uint8))
    label[0, :5] = 255
    return random_pixels((size, size, channels)).astype(np.float32) / 255, label


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("settings", [{"flips": True}, {"right_angle_rotations": True}])
def test_image_and_label_move_together_exactly(settings, channels):
    label = random_pixels((16, 16))
    image = np.repeat(label[:, :, None], channels, 2).astype(np.float32) / 255
    augmenter = Augmenter(policy_of(**settings))
    seen = set()
    for seed in range(40):
        changed, moved = augmenter(image, label, seed)
        for channel in range(channels):
            np.testing.assert_array_equal(
                changed[:, :, channel], moved.astype(np.float32) / 255, strict=True
            )
        seen.add(moved.tobytes())
    assert len(seen) > 1
    turned = [np.rot90(side, turns) for side in (label, label.T) for turns in range(4)]
    assert seen <= {moved.tobytes() for moved in turned}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"flips": True}, ["0123", "1032", "2301", "3210"]),
        ({"right_angle_rotations": True}, ["0123", "1302", "3210", "2031"]),
    ],
    ids=["flips", "rotations"],
)
def test_each_flip_and_each_rotation_comes_for_a_quarter_of_the_crops(settings, expected):
    label = np.arange(4, dtype=np.uint8).reshape(2, 2)
    image = label[:, :, None].astype(np.float32) / 3
    augmenter = Augmenter(policy_of(**settings))
    drawn = Counter("".join(map(str, augmenter(image, label, s)[1].ravel())) for s in range(400))
    assert set(drawn) == set(expected)
    assert min(drawn.values()) > 60


def test_steps_are_drawn_independently_of_each_other():
    label = np.arange(64, dtype=np.uint8).reshape(8, 8)
    image = label[:, :, None].astype(np.float32) / 200 + 0.3
    augmenter = Augmenter([{**policy_of(flips=True)[0]}, *policy_of(noise=0.1)])
    drawn = Counter()
    for seed in range(200):
        changed, moved = augmenter(image, label, seed)
        flipped = not np.array_equal(moved, label)
        plain = image[:, ::-1] if flipped else image
        drawn[flipped, np.array_equal(changed, plain)] += 1
    assert len(drawn) == 4
    assert min(drawn.values()) > 20


def test_label_values_are_never_interpolated_under_elastic_deformation():
    image, label = crop(64)
    augmenter = Augmenter(always(policy_of(elastic_displacement=4, elastic_smoothness=4)))
    for seed in range(12):
        changed, moved = augmenter(image, label, seed)
        assert set(np.unique(moved)) <= set(np.unique(label))
        assert moved.dtype == np.uint8
        assert not np.array_equal(moved, label)
        assert not np.array_equal(changed, image)


def test_elastic_deformation_moves_image_and_label_along_the_same_field():
    rows, columns = np.mgrid[:96, :96]
    label = ((rows // 16 + columns // 16) % 2).astype(np.uint8)
    augmenter = Augmenter(always(policy_of(elastic_displacement=1.5, elastic_smoothness=6)))
    for seed in range(6):
        changed, moved = augmenter(label[:, :, None].astype(np.float32), label, seed)
        assert not np.array_equal(moved, label)
        assert np.mean((changed[:, :, 0] > 0.5) == moved) > 0.99


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_full_policy_keeps_shapes_types_and_range(channels):
    image, label = crop(24, channels)
    augmenter = Augmenter(always(FULL))
    for seed in range(20):
        changed, moved = augmenter(image, label, seed)
        assert (changed.shape, moved.shape) == (image.shape, label.shape)
        assert (changed.dtype, moved.dtype) == (np.float32, np.uint8)
        assert 0 <= changed.min() <= changed.max() <= 1


def test_crop_that_goes_in_is_not_modified():
    image, label = crop()
    kept = image.copy(), label.copy()
    augmenter = Augmenter(always(FULL))
    for seed in range(10):
        augmenter(image, label, seed)
    np.testing.assert_array_equal(image, kept[0])
    np.testing.assert_array_equal(label, kept[1])


@pytest.mark.parametrize(
    "settings", [{"brightness": 0.3}, {"contrast": 0.3}, {"noise": 0.1}], ids=str
)
def test_change_of_light_leaves_the_label_alone(settings):
    image, label = crop()
    augmenter = Augmenter(always(policy_of(**settings)))
    changed, moved = augmenter(image, label, 5)
    np.testing.assert_array_equal(moved, label, strict=True)
    assert not np.array_equal(changed, image)


def test_brightness_shifts_by_no_more_than_its_share():
    image = np.full((8, 8, 1), 0.5, np.float32)
    augmenter = Augmenter(always(policy_of(brightness=0.2)))
    shifts = [augmenter(image, np.zeros((8, 8), np.uint8), s)[0][0, 0, 0] - 0.5 for s in range(99)]
    assert max(np.abs(shifts)) <= 0.2 + 1e-6
    assert min(shifts) < -0.15
    assert max(shifts) > 0.15


def test_noise_has_no_more_than_its_standard_deviation():
    image = np.full((64, 64, 1), 0.5, np.float32)
    augmenter = Augmenter(always(policy_of(noise=0.05)))
    spread = [augmenter(image, np.zeros((64, 64), np.uint8), s)[0].std() for s in range(60)]
    assert 0.035 < max(spread) < 0.053
    assert min(spread) < 0.015


def test_same_seed_gives_the_same_change_whatever_came_before():
    image, label = crop()
    first, second = Augmenter(FULL), Augmenter(FULL)
    for seed in range(7):
        second(image, label, seed)
    for seed in (3, 2**40 + 3, -5):
        results = [augmenter(image, label, seed) for augmenter in (first, second, first)]
        for other in results[1:]:
            np.testing.assert_array_equal(results[0][0], other[0])
            np.testing.assert_array_equal(results[0][1], other[1])


def test_seeds_differ():
    image, label = crop()
    augmenter = Augmenter(FULL)
    assert len({augmenter(image, label, seed)[0].tobytes() for seed in range(30)}) > 15


def test_several_threads_at_once_give_what_one_thread_gives():
    image, label = crop()
    augmenter = Augmenter(always(FULL))
    alone = [augmenter(image, label, seed)[0].tobytes() for seed in range(40)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda s: augmenter(image, label, s)[0].tobytes(), range(40)))
    assert together == alone


def test_policy_is_plain_data_that_yaml_brings_back():
    stored = yaml.safe_load(yaml.safe_dump(FULL))
    assert stored == FULL
    image, label = crop()
    for seed in range(10):
        expected, found = (Augmenter(p)(image, label, seed) for p in (FULL, stored))
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])


def test_full_policy_uses_each_transform_and_an_empty_one_changes_nothing():
    assert {step["transform"] for step in FULL} == set(TRANSFORMS)
    assert policy_of() == []
    image, label = crop()
    changed, moved = Augmenter([])(image, label, 1)
    np.testing.assert_array_equal(changed, image, strict=True)
    np.testing.assert_array_equal(moved, label, strict=True)


def test_later_changes_of_the_list_do_not_reach_the_augmenter():
    policy = always(policy_of(brightness=0.5))
    augmenter = Augmenter(policy)
    policy[0]["transform"] = "Nonsense"
    policy.clear()
    image, label = crop()
    with ThreadPoolExecutor(1) as pool:
        changed = pool.submit(augmenter, image, label, 1).result()[0]
    np.testing.assert_array_equal(changed, augmenter(image, label, 1)[0])


@pytest.mark.parametrize("step", [{"transform": "Rotate"}, {"p": 1.0}, {"transform": "Compose"}])
def test_unknown_transform_is_refused_with_the_known_ones(step):
    with pytest.raises(InputError, match=r"not a transform that it may use.*HorizontalFlip, Vert"):
        Augmenter([step])


@pytest.mark.parametrize(
    "step",
    [
        {"transform": "HorizontalFlip", "p": 2.0},
        {"transform": "GaussNoise", "std_range": [0.5, 0.1]},
        {"transform": "VerticalFlip", "nonsense": 1},
    ],
    ids=["share above 1", "range upside down", "unknown argument"],
)
def test_wrong_arguments_of_a_transform_are_refused(step):
    with pytest.raises(InputError):
        Augmenter([step])


def test_building_in_many_threads_leaves_the_warning_filters_alone():
    before = list(warnings.filters)
    augmenter = Augmenter([{"transform": "HorizontalFlip", "p": 0.5}])
    image, label = np.zeros((8, 8, 1), np.float32), np.zeros((8, 8), np.uint8)
    for _ in range(5):
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda seed: augmenter(image, label, seed), range(32)))
    assert list(warnings.filters) == before
