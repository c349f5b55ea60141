import numpy as np
import pytest
from scipy import ndimage
from skimage.draw import line

from tests.support.losses import losses_of, random_prediction, random_truth
from unetflow.models.loss_terms import soft_skeleton

CROSS = ndimage.generate_binary_structure(2, 1)


def _skeleton_slowly(mask, iterations=10):
    """The paper's algorithm 1 with SciPy's erosion and dilation."""

    def erode(values):
        return ndimage.grey_erosion(values, footprint=CROSS, mode="constant", cval=np.inf)

    def rest(values):
        opened = ndimage.grey_dilation(erode(values), (3, 3), mode="constant", cval=-np.inf)
        return np.maximum(values - opened, 0)

    skeleton = rest(mask)
    for _ in range(iterations):
        mask = erode(mask)
        skeleton = skeleton + (1 - skeleton) * rest(mask)
    return skeleton


def _loss_slowly(truth, chance):
    """The paper's algorithm 2, for each image and class."""
    losses = []
    for label, image in zip(truth[..., 0], chance.astype(np.float64), strict=True):
        p = np.where((label == 255)[..., None], 0, image)
        each = []
        for index in range(1, max(p.shape[-1], 2)):
            mask, found = (label == index).astype(float), p[..., -1 if p.shape[-1] == 1 else index]
            thin, thin_found = _skeleton_slowly(mask), _skeleton_slowly(found)
            precision = ((thin_found * mask).sum() + 1) / (thin_found.sum() + 1)
            sensitivity = ((thin * found).sum() + 1) / (thin.sum() + 1)
            each.append(1 - 2 * precision * sensitivity / (precision + sensitivity))
        losses.append(np.mean(each))
    return losses


def _thin(mask, **options):
    skeleton = soft_skeleton(np.asarray(mask, np.float32)[None, :, :, None], **options)
    return np.asarray(skeleton)[0, :, :, 0]


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_it_equals_the_papers_algorithm_in_scipy(channels):
    size = (9, 12)
    truth, chance = random_truth(5, 3, channels, size), random_prediction(5, 3, channels, size)
    expected = _loss_slowly(truth, chance)
    np.testing.assert_allclose(losses_of("cldice", truth, chance), expected, rtol=1e-4)


def test_the_soft_skeleton_equals_scipys():
    mask = ndimage.gaussian_filter(np.random.default_rng(0).random((20, 30)), 2)
    mask = (mask - mask.min()) / np.ptp(mask)
    np.testing.assert_allclose(_thin(mask), _skeleton_slowly(mask), atol=1e-6)


def test_a_thin_line_is_its_own_skeleton():
    mask = np.zeros((12, 15))
    mask[line(2, 1, 2, 12)] = 1
    mask[line(3, 6, 10, 6)] = 1
    np.testing.assert_array_equal(_thin(mask), mask)


def test_the_skeleton_of_a_thick_bar_is_its_middle():
    mask = np.zeros((11, 20))
    mask[3:8, 3:17] = 1
    middle = np.zeros(mask.shape)
    middle[5, 5:15] = 1
    skeleton = _thin(mask)
    np.testing.assert_array_equal(skeleton[:, 5:15], middle[:, 5:15])
    assert skeleton.sum() < mask.sum() / 3


def test_the_skeleton_reaches_the_border_of_the_image():
    mask = np.zeros((11, 20))
    mask[4:7] = 1
    middle = np.zeros(mask.shape)
    middle[5] = 1
    np.testing.assert_array_equal(_thin(mask), middle)


def test_a_bar_too_thick_for_the_iterations_has_no_skeleton():
    mask = np.zeros((30, 40))
    mask[5:25] = 1
    assert _thin(mask, iterations=4).sum() == 0
    assert _thin(mask, iterations=9)[14:16].sum() == 80


def _vessel():
    truth = np.zeros((1, 21, 30, 1), np.uint8)
    truth[0, 9:12] = 1
    return truth


def test_a_gap_costs_more_than_a_thinner_line():
    truth = _vessel()
    broken, thinner = truth.astype(np.float32), truth.astype(np.float32)
    broken[0, :, 12:18] = 0
    thinner[0, [9, 11]] = 0
    assert losses_of("cldice", truth, truth.astype(np.float32))[0] == pytest.approx(0, abs=1e-6)
    assert losses_of("cldice", truth, thinner)[0] == pytest.approx(0, abs=1e-6)
    assert losses_of("cldice", truth, broken)[0] > 0.1


def test_the_loss_of_empty_masks_is_defined():
    truth = np.zeros((1, 8, 30, 1), np.uint8)
    nothing, something = np.zeros(truth.shape, np.float32), np.zeros(truth.shape, np.float32)
    something[0, 4] = 1
    assert losses_of("cldice", truth, nothing)[0] == 0
    # T_prec = 1 / 31 and T_sens = 1.
    assert losses_of("cldice", truth, something)[0] == pytest.approx(1 - 2 / 32, abs=1e-6)


def test_predictions_at_ignored_pixels_do_not_affect_neighbours():
    truth = _vessel()
    truth[0, 12:15] = 255
    chance = (truth == 1).astype(np.float32)
    other = np.where(truth == 255, np.float32(1), chance)
    np.testing.assert_array_equal(
        losses_of("cldice", truth, chance), losses_of("cldice", truth, other)
    )
