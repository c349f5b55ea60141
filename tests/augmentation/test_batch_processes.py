from multiprocessing import get_context

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.networks import fit_settings
from unetflow.augmentation.batches import BatchMemory, BatchProcesses, CropSampler, fixed_crops
from unetflow.augmentation.policy import Augmenter
from unetflow.data.intensity import IntensityRange
from unetflow.data.samples import Sample


def _batch(random, count, edge, kind):
    images = random.random((count, edge, edge, 2), dtype=np.float32)
    if kind == "weights":
        return images, random.random((count, edge, edge, 2), dtype=np.float32)
    return images, random.integers(0, 255, (count, edge - 1, edge - 1, 1), dtype=np.uint8)


@given(st.integers(1, 5), st.integers(2, 9), st.sampled_from(["label", "weights"]), st.data())
def test_what_was_put_in_any_place_is_copied_out_of_it(batch_size, edge, kind, data):
    random = np.random.default_rng(0)
    crop = tuple(part[0] for part in _batch(random, 1, edge, kind))
    memory = BatchMemory(get_context("spawn"), 3, batch_size, crop)
    counts = data.draw(st.lists(st.integers(1, batch_size), min_size=3, max_size=3))
    batches = [_batch(random, count, edge, kind) for count in counts]
    for place, batch in enumerate(batches):
        assert memory.put(place, batch) == len(batch[0])
    for place, batch in enumerate(batches):
        for part, expected in zip(memory.copy(place, counts[place]), batch, strict=True):
            np.testing.assert_array_equal(part, expected)
            assert part.dtype == expected.dtype


def test_a_copy_stays_when_its_place_is_used_again():
    random = np.random.default_rng(0)
    first, second = (_batch(random, 2, 4, "label") for _ in range(2))
    memory = BatchMemory(get_context("spawn"), 1, 2, tuple(part[0] for part in first))
    memory.put(0, first)
    images, _ = memory.copy(0, 2)
    memory.put(0, second)
    np.testing.assert_array_equal(images, first[0])


@pytest.fixture(scope="module")
def maker():
    place = np.arange(400, dtype=np.uint8).reshape(20, 20)
    sample = Sample(place[..., None], (place % 2).astype(np.uint8))
    # Without transforms, whose library takes each process seconds to import.
    return CropSampler(
        {"a": sample}, IntensityRange([0.0], [255.0]), Augmenter([]), fit_settings(crop_size=8), 1
    )


def test_batches_come_right_in_whatever_order_and_however_often_they_are_asked_for(maker):
    orders = [(0, [("a", 3 * index + n) for n in range(3)]) for index in range(40)]
    processes = BatchProcesses(maker, 3, 2, ahead=4)
    try:
        # Backwards there is soon no free place left, and batches travel through the pipe.
        for index in [*range(39, -1, -1), 5, 5, 0, 17, *range(40)]:
            found = processes.take(index, 40, orders.__getitem__)
            for part, expected in zip(found, maker.make_batch(orders[index]), strict=True):
                np.testing.assert_array_equal(part, expected)
    finally:
        processes.close()


def test_crops_to_overfit_come_from_samples_with_foreground_first():
    samples = {
        f"{number}": Sample(np.zeros((8, 8, 1), np.uint8), np.full((8, 8), number >= 8, np.uint8))
        for number in range(10)
    }
    crops = fixed_crops(samples, fit_settings(crop_size=4, overfit_crops=3), 0, seed=1)
    assert [bool(crop.label.any()) for crop in crops.values()] == [True, True, False]
