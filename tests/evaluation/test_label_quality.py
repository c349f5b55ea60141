import numpy as np
import pytest
from scipy import stats

from unetflow.data.samples import Sample
from unetflow.evaluation.review import (
    choose_worst,
    mean_cross_entropy,
    measure_losses,
    robust_z_scores,
)


def postprocess(probabilities):
    return (probabilities[:, :, -1] >= 0.5).astype(np.uint8)


def discs(count):
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:24, :24]
    samples = {}
    for number in range(count):
        top, left = random.integers(8, 16, 2)
        label = ((rows - top) ** 2 + (columns - left) ** 2 < 40).astype(np.uint8)
        noise = random.integers(-25, 25, label.shape)
        samples[f"disc_{number}"] = Sample(
            (120 + 60 * (2.0 * label - 1) + noise)[..., None].astype(np.uint8), label
        )
    return samples


def predict(image):
    return (image / 255).astype(np.float32)


def test_inverted_label_is_found():
    samples = discs(12)
    samples["disc_7"] = Sample(samples["disc_7"].image, 1 - samples["disc_7"].label)
    table = measure_losses(predict, postprocess, samples, 2)
    assert table.columns.tolist() == ["id", "loss", "z_score", "dice"]
    assert len(table) == 12
    assert table["id"][0] == "disc_7"
    assert table["z_score"][0] > 10
    assert (table["z_score"][1:] < 3.5).all()
    assert table["dice"][0] < 0.1
    titles = choose_worst(table, 2)
    assert list(titles) == table["id"][:2].tolist()
    assert titles["disc_7"] == f"disc_7: loss {table['loss'][0]:.3f}, z {table['z_score'][0]:.1f}"


def test_cross_entropy_by_hand_without_ignored_pixels():
    truth = np.array([[0, 1, 255]], np.uint8)
    foreground = np.array([[[0.2], [0.6], [0.9]]], np.float32)
    expected = -(np.log(0.8) + np.log(0.6)) / 2
    both = np.concatenate([1 - foreground, foreground], axis=2)
    assert mean_cross_entropy(truth, foreground) == pytest.approx(expected)
    assert mean_cross_entropy(truth, both) == pytest.approx(expected)


def test_a_certain_error_has_a_finite_loss():
    sure = np.ones((1, 1, 1), np.float32)
    assert mean_cross_entropy(np.zeros((1, 1), np.uint8), sure) == pytest.approx(7 * np.log(10))


def test_robust_scores_are_those_of_the_median_absolute_deviation():
    values = np.random.default_rng(0).normal(3, 2, 101)
    expected = (values - np.median(values)) / stats.median_abs_deviation(values, scale="normal")
    assert robust_z_scores(values) == pytest.approx(expected, rel=1e-3)


def test_robust_scores_where_most_values_are_equal():
    assert robust_z_scores([1, 1, 1, 1, 6]).tolist() == pytest.approx([0, 0, 0, 0, 5 / 1.2533])
    assert robust_z_scores([2, 2, 2]).tolist() == [0, 0, 0]
    assert robust_z_scores([]).tolist() == []


def test_a_sample_without_a_pixel_that_counts_is_left_out():
    samples = discs(2)
    nothing = np.full((24, 24), 255, np.uint8)
    samples["nothing"] = Sample(samples["disc_0"].image, nothing)
    assert set(measure_losses(predict, postprocess, samples, 2)["id"]) == {"disc_0", "disc_1"}


def test_a_label_without_foreground_has_no_dice():
    samples = discs(3)
    samples["empty"] = Sample(samples["disc_0"].image, np.zeros((24, 24), np.uint8))
    table = measure_losses(predict, postprocess, samples, 2).set_index("id")
    assert table.index[0] == "empty"
    assert np.isnan(table["dice"]["empty"])
    assert table["dice"].drop("empty").between(0.9, 1).all()
