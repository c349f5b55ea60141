import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.augmentation.test_augmenter import FULL, NOTHING, always, policy_of
from tests.support.images import random_pixels
from unetflow.augmentation.policy import Augmenter, build_policy
from unetflow.config.augmentation import AugmentationParameters
from unetflow.config.base import read_parameters
from unetflow.core.errors import InputError
from unetflow.data.samples import Sample

CONF = Path(__file__).parents[2] / "conf/base"
PRESETS = yaml.safe_load((CONF / "globals_presets.yml").read_text())["presets"]
DEFAULTS = {
    **yaml.safe_load((CONF / "parameters_augmentation.yml").read_text())["augmentation"],
    **PRESETS["lean"]["augmentation"],
}

SETTINGS = st.builds(
    AugmentationParameters,
    flips=st.booleans(),
    right_angle_rotations=st.booleans(),
    rotation=st.floats(0, 180),
    shift=st.floats(0, 1),
    scale=st.floats(0, 0.9),
    elastic_grid=st.floats(0, 20),
    elastic_displacement=st.floats(0, 1),
    elastic_smoothness=st.floats(1, 10),
    brightness=st.floats(0, 1),
    contrast=st.floats(0, 1),
    noise=st.floats(0, 1),
)


def affine_of(**settings):
    return Augmenter(always(policy_of(**settings)))


def ramps(edge):
    """Return an image whose two channels tell from which row and column a pixel comes."""
    return np.stack(np.mgrid[:edge, :edge], axis=-1).astype(np.float32)


def linear_part(changed):
    """Fit where each pixel comes from as a linear function of its place, away from the border."""
    edge = changed.shape[0]
    inner = slice(edge // 3, -(edge // 3))
    places = np.stack([*np.mgrid[:edge, :edge], np.ones((edge, edge))], axis=-1)[inner, inner]
    fitted, residuals, *_ = np.linalg.lstsq(
        places.reshape(-1, 3), changed[inner, inner].reshape(-1, 2), rcond=None
    )
    assert np.sqrt(residuals.max() / places[..., 0].size) < 0.05
    return fitted


@settings(max_examples=100, deadline=None)
@given(SETTINGS, st.booleans(), st.integers(0, 2**40), st.tuples(*[st.integers(2, 24)] * 2))
def test_weights_move_exactly_as_the_label_and_change_nothing_else(chosen, each, seed, shape):
    policy = build_policy(chosen)
    augmenter = Augmenter(always(policy) if each else policy)
    label = random_pixels(shape, seed=seed)
    image = random_pixels((*shape, 1)).astype(np.float32) / 255
    alone = augmenter(image, label, seed)
    targets = np.stack([label, 255 - label], axis=2)
    changed = augmenter.change_sample(Sample(image, label, label.astype(np.float32), targets), seed)
    np.testing.assert_array_equal(changed.image, alone[0], strict=True)
    np.testing.assert_array_equal(changed.label, alone[1], strict=True)
    np.testing.assert_array_equal(changed.weights, alone[1].astype(np.float32), strict=True)
    moved = np.stack([alone[1], 255 - alone[1]], axis=2)
    np.testing.assert_array_equal(changed.object_targets, moved, strict=True)


def test_a_single_target_keeps_its_axis_and_missing_maps_stay_missing():
    label = random_pixels((48, 48))
    image = np.zeros((48, 48, 1), np.float32)
    changed = Augmenter(always(FULL)).change_sample(
        Sample(image, label, object_targets=label[:, :, np.newaxis]), 1
    )
    assert changed.weights is None
    np.testing.assert_array_equal(changed.object_targets[:, :, 0], changed.label, strict=True)


def test_weights_of_any_range_come_through_all_transforms_at_once():
    label = random_pixels((48, 48)) % 4
    table = np.array([0, -3.5, 1e6, 0.1], np.float32)
    augmenter = Augmenter(always(FULL))
    for seed in range(30):
        image = np.zeros((48, 48, 3), np.float32)
        changed = augmenter.change_sample(Sample(image, label, table[label]), seed)
        np.testing.assert_array_equal(changed.weights, table[changed.label], strict=True)


def test_rotation_turns_by_no_more_than_its_angle_and_to_both_sides():
    augmenter = affine_of(rotation=20)
    angles = []
    for seed in range(40):
        image, _ = augmenter(ramps(60), np.zeros((60, 60), np.uint8), seed)
        matrix = linear_part(image)[:2]
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(2), atol=0.01)
        angles.append(np.degrees(np.arctan2(matrix[0, 1], matrix[0, 0])))
    assert -20.2 < min(angles) < -10
    assert 10 < max(angles) < 20.2


def test_scale_changes_the_size_of_both_axes_alike():
    augmenter = affine_of(scale=0.25)
    factors = []
    for seed in range(40):
        image, _ = augmenter(ramps(60), np.zeros((60, 60), np.uint8), seed)
        matrix = linear_part(image)[:2]
        np.testing.assert_allclose(matrix, matrix[0, 0] * np.eye(2), atol=0.01)
        factors.append(1 / matrix[0, 0])
    assert 0.74 < min(factors) < 0.85
    assert 1.15 < max(factors) < 1.26


def test_shift_is_a_share_of_the_edge_drawn_for_each_axis():
    augmenter = affine_of(shift=0.1)
    shifts = []
    for seed in range(60):
        image, label = augmenter(ramps(60), np.zeros((60, 60), np.uint8), seed)
        assert label.shape == (60, 60)
        fitted = linear_part(image)
        np.testing.assert_allclose(fitted[:2], np.eye(2), atol=1e-3)
        shifts.append(fitted[2])
    assert 5 <= np.abs(shifts).max() <= 6.01
    assert np.abs(np.corrcoef(np.array(shifts).T)[0, 1]) < 0.4


def test_what_a_shift_brings_in_is_the_mirror_image_of_image_and_label():
    label = np.arange(100, dtype=np.uint8).reshape(10, 10)
    continued = np.pad(np.arange(10), 5, mode="reflect")
    shifted = [continued[start : start + 10].tolist() for start in range(11)]
    augmenter = affine_of(shift=0.5)
    seen = set()
    for seed in range(40):
        image, moved = augmenter(ramps(10), label, seed)
        rows, columns = image[:, :1, 0], image[:1, :, 1]
        seen |= {shifted.index(rows.ravel().tolist()), shifted.index(columns.ravel().tolist())}
        np.testing.assert_array_equal(image, np.stack(np.broadcast_arrays(rows, columns), axis=-1))
        np.testing.assert_array_equal(moved, rows * 10 + columns)
    assert len(seen) > 7


def test_grid_bends_more_with_a_larger_deviation():
    label = np.zeros((64, 64), np.uint8)
    middle = np.s_[24:40, 24:40]
    moved = [
        np.mean(
            [
                np.abs(affine_of(elastic_grid=d)(ramps(64), label, s)[0] - ramps(64))[middle]
                for s in range(20)
            ]
        )
        for d in (0.5, 2, 8)
    ]
    assert moved[0] * 2 < moved[1] < moved[2] / 2


def test_default_policy_is_the_one_of_before():
    chosen = read_parameters(AugmentationParameters, DEFAULTS, "augmentation")
    assert build_policy(chosen) == [
        {"transform": "HorizontalFlip", "p": 0.5},
        {"transform": "VerticalFlip", "p": 0.5},
        {"transform": "RandomRotate90", "p": 1.0},
        {"transform": "ElasticField", "displacement": 0.5, "smoothness": 8.0, "p": 0.3},
        {
            "transform": "RandomBrightnessContrast",
            "brightness_limit": [-0.1, 0.1],
            "contrast_limit": [-0.2, 0.2],
            "p": 0.5,
        },
        {"transform": "GaussNoise", "std_range": [0.0, 0.03], "p": 0.5},
    ]


@pytest.mark.parametrize("setting", ["rotation", "shift", "scale"])
def test_one_of_rotation_shift_and_scale_is_enough_for_the_step(setting):
    step = {s["transform"]: s for s in build_policy(NOTHING.model_copy(update={setting: 0.5}))}[
        "Affine"
    ]
    still = {"rotation": ("rotate", [0, 0]), "scale": ("scale", [1, 1])}
    for name, (argument, value) in still.items():
        assert (step[argument] == value) == (name != setting)
    assert (step["translate_percent"] == {"x": [0, 0], "y": [0, 0]}) == (setting != "shift")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("rotation", -1),
        ("rotation", 181),
        ("shift", -0.1),
        ("shift", 1.1),
        ("scale", -0.1),
        ("scale", 1),
        ("elastic_grid", -1),
        ("elastic_grid", float("inf")),
        ("rotation", "10"),
    ],
)
def test_settings_out_of_range_are_refused(setting, value):
    with pytest.raises(InputError, match=f"augmentation.{setting}"):
        read_parameters(AugmentationParameters, {**DEFAULTS, setting: value}, "augmentation")


@pytest.mark.parametrize(("setting", "value"), [("rotation", 180), ("shift", 1), ("scale", 0.99)])
def test_settings_at_the_end_of_their_range_are_taken(setting, value):
    read_parameters(AugmentationParameters, {**DEFAULTS, setting: value}, "augmentation")


@pytest.mark.process
def test_albumentations_is_imported_only_when_needed_and_asks_no_network():
    code = (
        "import os, socket, sys, unetflow.augmentation.policy as a\n"
        "name, asked = 'NO_ALBUMENTATIONS_UPDATE', []\n"
        "value = os.environ.get(name)\n"
        "socket.getaddrinfo = lambda *address, **_: asked.append(address) or []\n"
        "before = 'albumentations' in sys.modules or 'cv2' in sys.modules\n"
        "a.Augmenter([{'transform': 'ElasticGrid'}])\n"
        "print(before, 'albumentations' in sys.modules, asked, value == os.environ.get(name))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["False", "True", "[]", "True"]
