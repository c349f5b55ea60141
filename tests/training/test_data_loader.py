import multiprocessing

import keras
import numpy as np
import pytest

from tests.support.networks import GREY, fit_settings
from unetflow.augmentation.policy import Augmenter
from unetflow.core.errors import InputError
from unetflow.core.types import IGNORE
from unetflow.data.intensity import IntensityRange
from unetflow.data.samples import Sample
from unetflow.training.data_loader import CropLoader

FLIPS = [{"transform": "HorizontalFlip", "p": 0.5}, {"transform": "VerticalFlip", "p": 0.5}]


class _Recorder(keras.Model):
    """Learns nothing and remembers the batches that Keras gives it."""

    def __init__(self):
        super().__init__()
        self.seen = []
        self.compile(run_eagerly=True)

    def train_step(self, data):
        self.seen.append(tuple(np.asarray(part) for part in data))
        return {"loss": 0.0}


@pytest.fixture(scope="module")
def numbered():
    """Samples whose pixel values tell the sample and the place, so that crops can be traced."""
    place = np.arange(20 * 22, dtype=np.uint16).reshape(20, 22)
    return {
        f"s{number}": Sample((1000 * number + place)[..., None], (place % 2).astype(np.uint8))
        for number in range(7)
    }


def _feed(samples, seed=1, label_margin=0, **changes):
    intensity = changes.pop("intensity", IntensityRange(low=[0.0], high=[10_000.0]))
    augmenter = changes.pop("augmenter", Augmenter(FLIPS))
    settings = fit_settings(**{"crop_size": 8, "workers": 0, **changes})
    return CropLoader(samples, intensity, augmenter, settings, seed, label_margin=label_margin)


def _epoch(feed):
    """Copy the batches of the current epoch, then go on to the next."""
    batches = [feed[i] for i in range(feed.num_batches)]
    feed.on_epoch_end()
    return batches


def _sources(batches):
    """Name the sample of each crop of an epoch, by its pixel values."""
    crops = np.concatenate([images for images, _ in batches])
    return [round(float(crop.min()) * 10_000) // 1000 for crop in crops]


def _assert_same(some, others):
    assert len(some) == len(others)
    for batch, other in zip(some, others, strict=True):
        for part, other_part in zip(batch, other, strict=True):
            np.testing.assert_array_equal(part, other_part)


def _equal(some, others):
    return all(np.array_equal(a[0], b[0]) for a, b in zip(some, others, strict=True))


def test_batches_have_the_promised_shapes_and_types(numbered):
    images, labels = _feed(numbered)[0]
    assert (images.shape, images.dtype) == ((4, 8, 8, 1), np.float32)
    assert (labels.shape, labels.dtype) == ((4, 8, 8, 1), np.uint8)


def test_the_last_batch_holds_what_is_left(numbered):
    feed = _feed(numbered, batch_size=4)
    assert feed.num_batches == 4
    assert [len(images) for images, _ in _epoch(feed)] == [4, 4, 4, 2]
    assert _feed(numbered, batch_size=7).num_batches == 2


def test_every_sample_gives_its_crops_in_every_epoch(numbered):
    feed = _feed(numbered)
    for _ in range(3):
        assert sorted(_sources(_epoch(feed))) == sorted([*range(7)] * 2)


def test_the_order_differs_from_epoch_to_epoch(numbered):
    feed = _feed(numbered)
    orders = [tuple(_sources(_epoch(feed))) for _ in range(4)]
    assert len(set(orders)) == 4


def test_crops_of_one_sample_differ_from_each_other_and_from_epoch_to_epoch(numbered):
    feed = _feed({"s0": numbered["s0"]}, crops_per_image=4, augmenter=Augmenter([]))
    places = [float(crop.min()) for _ in range(3) for crop in np.concatenate(_epoch(feed)[0][:1])]
    assert len(set(places)) > 6


def test_the_same_seed_gives_the_same_epochs_and_another_seed_others(numbered):
    one, same, other = (_feed(numbered, seed=seed) for seed in (1, 1, 2))
    for _ in range(2):
        batches = _epoch(one)
        _assert_same(batches, _epoch(same))
        assert not _equal(batches, _epoch(other))


def test_images_are_scaled_by_the_given_range_and_clipped():
    pixels = np.array([[[50], [100]], [[150], [250]]], np.uint16)
    sample = Sample(pixels, np.zeros((2, 2), np.uint8))
    feed = _feed(
        {"a": sample},
        intensity=IntensityRange([100.0], [200.0]),
        augmenter=Augmenter([]),
        crop_size=2,
        crops_per_image=1,
    )
    np.testing.assert_allclose(feed[0][0][0, :, :, 0], [[0, 0], [0.5, 1]])


def test_image_and_label_are_cut_and_changed_together(numbered):
    for images, labels in _epoch(_feed(numbered)):
        parity = np.round(images * 10_000).astype(int) % 2
        np.testing.assert_array_equal(parity, labels)


def test_the_augmenter_flips_some_of_the_crops(numbered):
    crops = np.concatenate([images for images, _ in _epoch(_feed(numbered))])
    rising = crops[:, 0, 0, 0] < crops[:, 0, -1, 0]
    assert 0 < rising.sum() < len(rising)


def test_the_label_margin_cuts_the_label_and_leaves_the_image(numbered):
    for images, labels in _epoch(_feed(numbered, label_margin=3)):
        assert images.shape[1:] == (8, 8, 1)
        assert labels.shape[1:] == (2, 2, 1)
        parity = np.round(images * 10_000).astype(int) % 2
        np.testing.assert_array_equal(labels, parity[:, 3:5, 3:5])


def test_weights_come_behind_the_labels_and_change_with_them(numbered):
    weighted = {
        name: Sample(s.image, s.label, s.label.astype(np.float32) + 0.5)
        for name, s in numbered.items()
    }
    plain = _epoch(_feed(numbered, label_margin=1))
    for (images, both), (same, labels) in zip(
        _epoch(_feed(weighted, label_margin=1)), plain, strict=True
    ):
        np.testing.assert_array_equal(images, same)
        assert (both.shape[1:], both.dtype) == ((6, 6, 2), np.float32)
        np.testing.assert_array_equal(both[..., :1], labels)
        np.testing.assert_array_equal(both[..., 1], both[..., 0] + 0.5)


def test_a_share_of_the_crops_is_made_to_hold_foreground():
    label = np.zeros((60, 60), np.uint8)
    label[30, 40] = 1
    sample = Sample(label[..., None], label)
    shares = {}
    for share in (0.0, 0.5):
        feed = _feed({"a": sample}, crops_per_image=200, foreground_fraction=share)
        hits = [labels.any(axis=(1, 2, 3)) for _, labels in _epoch(feed)]
        shares[share] = np.concatenate(hits).mean()
    assert shares[0.0] < 0.1
    assert 0.4 < shares[0.5] < 0.65


def _mostly_empty():
    """Ten samples whose values tell their number, of which the last three have one true pixel."""
    samples = {}
    for number in range(10):
        label = np.zeros((40, 40), np.uint8)
        label[20, 20] = number >= 7
        samples[f"s{number}"] = Sample(np.full((40, 40, 1), 1000 * number, np.uint16), label)
    return samples


def test_crops_with_foreground_come_from_samples_that_have_some():
    options = {"crops_per_image": 40, "augmenter": Augmenter([]), "foreground_fraction": 0.8}
    feed = _feed(_mostly_empty(), **options)
    batches = _epoch(feed)
    hits = np.concatenate([labels.any(axis=(1, 2, 3)) for _, labels in batches])
    assert 0.75 < hits.mean() < 0.87  # 30 % at most, if each crop stayed in its own sample
    sources = np.array(_sources(batches))
    assert set(sources[hits]) == {7, 8, 9}
    assert set(sources[~hits]) >= set(range(7))
    assert min(np.bincount(sources)[7:]) > 400 * 0.8 / 3 / 2
    _assert_same(batches, _epoch(_feed(_mostly_empty(), **options)))


def test_the_samples_of_a_batch_are_those_that_its_crops_come_from():
    feed = _feed(_mostly_empty(), foreground_fraction=0.8, augmenter=Augmenter([]))
    for index in range(feed.num_batches):
        names = [f"s{number}" for number in _sources([feed[index]])]
        assert feed.samples_of(index) == names


def test_crops_of_samples_with_foreground_are_as_if_there_were_no_empty_ones():
    samples = _mostly_empty()
    held = {name: samples[name] for name in ("s7", "s8", "s9")}
    both = [_feed(part, foreground_fraction=0.5)._maker for part in (samples, held)]
    for name in held:
        for found, expected in zip(*(maker.make_crop(2, name, 1) for maker in both), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_without_a_fraction_no_label_is_searched_for_foreground():
    class Unreadable(dict):
        def __getitem__(self, sample_id):
            raise AssertionError

    feed = _feed(Unreadable(_mostly_empty()))
    assert {feed.samples_of(index)[0][0] for index in range(feed.num_batches)} == {"s"}


def test_an_epoch_of_few_steps_takes_the_next_part_of_all_crops(numbered):
    feed = _feed(numbered, steps_per_epoch=1, crops_per_image=1, batch_size=2)
    assert (feed.num_batches, feed.num_crops) == (1, 2)
    whole = _feed(numbered, crops_per_image=1)
    order = [source for _ in range(2) for source in _sources(_epoch(whole))]
    assert order == [source for _ in range(7) for source in _sources(_epoch(feed))]


def test_a_resumed_feed_of_few_steps_continues_with_the_same_batches(numbered):
    feed, resumed = (_feed(numbered, steps_per_epoch=2, crops_per_image=3) for _ in range(2))
    batches = [_epoch(feed) for _ in range(6)]
    resumed.begin_with(4)
    _assert_same(_epoch(resumed), batches[4])
    _assert_same(_epoch(resumed), batches[5])


def test_more_steps_than_crops_change_nothing(numbered):
    plain, bounded = _feed(numbered), _feed(numbered, steps_per_epoch=99)
    for _ in range(2):
        _assert_same(_epoch(plain), _epoch(bounded))


def test_a_sample_smaller_than_the_crop_is_continued_and_not_counted_there():
    sample = Sample(np.full((5, 6, 1), 51, np.uint8), np.ones((5, 6), np.uint8))
    feed = _feed({"a": sample}, intensity=GREY, augmenter=Augmenter([]), crops_per_image=1)
    images, labels = feed[0]
    np.testing.assert_allclose(images, 0.2)
    assert np.all(labels[0, :5, :6] == 1)
    assert np.count_nonzero(labels == IGNORE) == 64 - 30


def _record(numbered, workers, **options):
    keras.utils.set_random_seed(1)
    recorder = _Recorder()
    feed = _feed(numbered, workers=workers)
    recorder.fit(feed, epochs=3, verbose=0, **options)
    return recorder.seen


@pytest.mark.parametrize("workers", [0, 1, 2, 4])
def test_keras_sees_the_feeds_own_batches_in_every_epoch(numbered, workers):
    seen = _record(numbered, workers, shuffle=False)
    feed = _feed(numbered)
    feed.on_epoch_end()  # Keras says so once before it begins
    _assert_same(seen, [batch for _ in range(3) for batch in _epoch(feed)])


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_the_number_of_workers_changes_nothing_that_keras_sees(numbered, workers):
    _assert_same(_record(numbered, workers), _record(numbered, 0))


@pytest.mark.process
def test_processes_change_nothing_that_keras_sees(numbered):
    keras.utils.set_random_seed(1)
    recorder, feed = _Recorder(), _feed(numbered, processes=2)
    try:
        recorder.fit(feed, epochs=3, verbose=0)
    finally:
        feed.close()
    _assert_same(recorder.seen, _record(numbered, 0))


@pytest.mark.process
def test_a_process_that_was_ended_is_an_error_that_says_so(numbered):
    feed = _feed(numbered, processes=1)
    feed[0]
    for process in multiprocessing.active_children():
        process.kill()
    with pytest.raises(InputError, match=r"training\.processes.*was killed"):
        _epoch(feed)
    feed.close()
