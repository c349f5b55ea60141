import keras
import numpy as np
import pytest

from tests.support.networks import randomise, tiny_unet
from unetflow.config.mask_export import ObjectParameters
from unetflow.data.intensity import IntensityRange
from unetflow.inference.ensemble import average_segmenters
from unetflow.inference.postprocessing import Postprocessing
from unetflow.inference.segmenter import Segmenter
from unetflow.instances.separation import Separation
from unetflow.models.unet import with_preprocessing


@pytest.fixture(scope="module")
def members(segmenter):
    """Two networks that scale their images differently."""
    made = []
    for number, threshold in enumerate((0.2, 0.6)):
        unet = randomise(tiny_unet(), seed=number)
        model = with_preprocessing(unet, IntensityRange([10.0 * number], [200.0 + number]))
        made.append(
            Segmenter(model, segmenter.settings).with_postprocessing(
                Postprocessing(threshold=threshold)
            )
        )
    return made


def test_an_ensemble_gives_the_mean_of_its_members_before_and_after_it_is_saved(
    members, random, tmp_path
):
    image = random.integers(0, 256, (30, 41, 1), np.uint8)
    expected = np.mean([member.predict_probabilities(image) for member in members], axis=0)
    ensemble = average_segmenters(members)
    np.testing.assert_allclose(ensemble.predict_probabilities(image), expected, atol=1e-6)
    assert ensemble.postprocessing.threshold == pytest.approx(0.4)
    np.testing.assert_array_equal(ensemble.predict(image), expected[:, :, 0] >= 0.4)
    ensemble.save(tmp_path / "ensemble.keras")
    loaded = Segmenter.load(tmp_path / "ensemble.keras")
    assert loaded.settings == ensemble.settings
    np.testing.assert_array_equal(loaded.predict(image), ensemble.predict(image))
    plain = keras.saving.load_model(tmp_path / "ensemble.keras")
    assert plain.count_params() == 2 * members[0].model.count_params()


def test_without_thresholds_there_is_none(members):
    most_probable = Postprocessing(threshold=None)
    ensemble = average_segmenters([m.with_postprocessing(most_probable) for m in members])
    assert ensemble.postprocessing.threshold is None


def test_rules_for_objects_are_medians_where_all_members_have_one(members):
    fitted = [
        ObjectParameters(method="watershed", min_distance=d, min_height=d / 2) for d in (3, 8)
    ]
    seeds = [
        Separation(seed_threshold=t, min_distance=d, prominence=p)
        for t, d, p in ((0.2, 4, 0.1), (0.6, 6, 0.3))
    ]
    each = [
        Postprocessing(threshold=0.5, separation=separation, fitted=rule)
        for separation, rule in zip(seeds, fitted, strict=True)
    ]
    with_rules = [m.with_postprocessing(p) for m, p in zip(members, each, strict=True)]
    found = average_segmenters(with_rules).postprocessing
    assert found.separation == Separation(seed_threshold=0.4, min_distance=5, prominence=0.2)
    assert (found.fitted.method, found.fitted.min_distance) == ("watershed", 6)
    assert found.fitted.min_height == pytest.approx(2.75)
    some = [with_rules[0], members[1]]
    assert not average_segmenters(some).postprocessing.separates
