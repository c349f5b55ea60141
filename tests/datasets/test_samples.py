import weakref

import numpy as np
import pytest
from kedro.io import DatasetError

from unetflow.datasets import SamplesDataset
from unetflow.imaging.errors import InputError
from unetflow.imaging.samples import Sample


def _sample(value: int) -> Sample:
    image = np.full((6, 8, 1), value, np.uint16)
    return Sample(image, np.full((6, 8), value % 2, np.uint8))


def _refuse() -> Sample:
    raise InputError("c.png", "it is broken", "Mend it")


def test_samples_come_back_as_memory_maps_in_their_order(tmp_path):
    dataset = SamplesDataset(path=str(tmp_path))
    dataset.save({"10": lambda: _sample(1000), "b/2": lambda: _sample(2001)})
    samples = dataset.load()
    assert list(samples) == ["10", "b/2"]
    assert isinstance(samples["b/2"].image, np.memmap) or isinstance(
        samples["b/2"].image.base, np.memmap
    )
    np.testing.assert_array_equal(samples["b/2"].image, _sample(2001).image)
    np.testing.assert_array_equal(samples["b/2"].label, _sample(2001).label)


def test_refused_samples_are_kept_with_their_reason(tmp_path):
    dataset = SamplesDataset(path=str(tmp_path))
    dataset.save({"a": lambda: _sample(1), "c": _refuse})
    samples = dataset.load()
    assert list(samples) == ["a"]
    assert [str(error) for error in samples.refused] == ["c.png: it is broken. Mend it."]


def test_samples_that_are_gone_are_removed(tmp_path):
    dataset = SamplesDataset(path=str(tmp_path))
    dataset.save({"a": lambda: _sample(1), "b": lambda: _sample(2)})
    dataset.save({"b": lambda: _sample(3)})
    assert not (tmp_path / "a" / "image.tif").exists()
    assert list(dataset.load()) == ["b"]


def test_interrupted_save_leaves_no_mixture_of_old_and_new_samples(tmp_path):
    def interrupt() -> Sample:
        raise KeyboardInterrupt

    dataset = SamplesDataset(path=str(tmp_path))
    dataset.save({"a": lambda: _sample(1), "b": lambda: _sample(2)})
    with pytest.raises(KeyboardInterrupt):
        dataset.save({"a": lambda: _sample(3), "b": interrupt})
    assert not dataset.exists()
    with pytest.raises(DatasetError, match="the file is not there"):
        dataset.load()


def test_no_sample_stays_in_memory_when_the_next_is_made(tmp_path):
    made = []

    def make() -> Sample:
        sample = _sample(len(made))
        # The last one may live on until the new one takes over its name.
        assert sum(reference() is not None for reference in made) <= 1
        made.append(weakref.ref(sample.image))
        return sample

    SamplesDataset(path=str(tmp_path)).save({str(i): make for i in range(5)})
    assert len(made) == 5
