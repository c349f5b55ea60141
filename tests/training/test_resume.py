import multiprocessing
import signal

import keras
import numpy as np
import pandas as pd
import pytest

from tests.support.killed_training import EPOCHS, VARIANTS, train
from tests.support.networks import GREY, fit_settings, tiny_unet
from tests.support.waiting import LIMIT, pause_randomly, wait_until
from unetflow.augmentation.policy import Augmenter
from unetflow.training.callbacks import StopWhenTimeIsUp, TrainingListeners
from unetflow.training.fit import fit
from unetflow.training.saved_states import CheckpointFolder

NO_FLIPS = Augmenter([])


@pytest.fixture(scope="module")
def processes():
    """What starts processes that have imported Keras already, but not used it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.support.killed_training"])
    return context


def _start(processes, folder, variant, die=None):
    process = processes.Process(target=train, args=(folder, variant, die))
    process.start()
    return process


def _finish(processes, folder, variant):
    """Train to the end, and return all that came out as bytes."""
    process = _start(processes, folder, variant)
    process.join(LIMIT)
    assert process.exitcode == 0
    with np.load(folder / "result.npz") as result:
        return {name: result[name] for name in result.files}


@pytest.fixture(scope="module")
def uninterrupted(processes, tmp_path_factory):
    """The results of trainings that nobody kills, and the seconds that epochs take."""
    results = {}
    for variant in VARIANTS:
        folder = tmp_path_factory.mktemp(variant)
        results[variant] = _finish(processes, folder, variant)
    return results


def _assert_same(result, expected):
    assert result.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(result[name], array, err_msg=name)


RANDOM = None
"""A moment between the first epoch and the last, drawn at random."""

MOMENTS = {
    "average": ["writing 1", "epoch 1", RANDOM, f"epoch {EPOCHS}"],
    "plateau": ["writing 2", "epoch 4", "writing 1"],
}
"""When the training is killed, and killed again after it was resumed; see `train`.

Each start costs seconds, so that a new training is not begun for each moment.
"""


@pytest.mark.process
@pytest.mark.xdist_group("killed trainings")  # of which one process has the uninterrupted ones
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_training_that_is_killed_again_and_again_ends_as_if_it_had_not_been(
    processes, uninterrupted, tmp_path, variant
):
    for die in MOMENTS[variant]:
        process = _start(processes, tmp_path, variant, die)
        if die is RANDOM:
            wait_until((tmp_path / "begun").exists)
            pause_randomly(0.3)
            process.kill()
        process.join(LIMIT)
        assert process.exitcode == -signal.SIGKILL
        assert not (tmp_path / "result.npz").exists()
        (tmp_path / "begun").unlink(missing_ok=True)
    _assert_same(_finish(processes, tmp_path, variant), uninterrupted[variant])


class _Told:
    def __init__(self):
        self.epochs, self.resumed = [], []
        self.listeners = TrainingListeners(
            lambda epoch, scores: self.epochs.append(epoch),
            lambda batch: None,
            name_record=lambda: "some run",
            on_resumed=lambda record, history: self.resumed.append((record, list(history))),
        )


def _fit(folder, squares, other_squares, told, **changes):
    keras.utils.set_random_seed(0)
    unet = tiny_unet(base_filters=4)
    settings = fit_settings(**{"epochs": 4, **changes})
    checkpoint = CheckpointFolder(folder, keep=1).of({"a": 1})
    data = squares, other_squares, GREY
    table = fit(unet, *data, NO_FLIPS, settings, told.listeners, checkpoint, seed=3)
    return unet, table


def test_a_finished_training_is_not_trained_again(squares, other_squares, tmp_path, caplog):
    unet, table = _fit(tmp_path, squares, other_squares, _Told(), learning_rate=0.1, epochs=6)
    assert table["val_dice"].argmax() < 5  # so that the best weights are not the last ones
    told = _Told()
    with caplog.at_level("INFO"):
        again, same = _fit(tmp_path, squares, other_squares, told, learning_rate=0.1, epochs=6)
    assert told.epochs == []
    pd.testing.assert_frame_equal(same, table)
    for weight, expected in zip(again.get_weights(), unet.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)
    assert "Resuming after epoch 6 of 6" in caplog.text


@pytest.mark.slow
def test_the_record_is_told_what_was_done(squares, other_squares, tmp_path):
    class _CutError(Exception):
        pass

    def cut(epoch, scores):
        if epoch == 2:
            raise _CutError

    told = _Told()
    cutting = TrainingListeners(cut, lambda batch: None, name_record=lambda: "some run")
    told.listeners, listeners = cutting, told.listeners
    with pytest.raises(_CutError):
        _fit(tmp_path, squares, other_squares, told)
    told.listeners = listeners
    _, table = _fit(tmp_path, squares, other_squares, told)
    assert told.epochs == [2, 3]
    ((record, history),) = told.resumed
    assert record == "some run"
    assert [row["loss"] for row in history] == table["loss"].tolist()[:2]


def test_the_time_before_the_cut_counts(monkeypatch):
    clock = iter([100.0, 130.0, 500.0, 520.0, 531.0])
    monkeypatch.setattr("unetflow.training.callbacks.time.monotonic", lambda: next(clock))
    first, second = (StopWhenTimeIsUp(1.0) for _ in range(2))
    for stop in (first, second):
        stop.set_model(keras.Sequential())
        stop.model.stop_training = False
    first.on_train_begin()
    first.on_epoch_end(0)
    second.on_train_begin()
    second.spent = first.spent
    second.on_epoch_end(1)
    assert (second.spent, second.model.stop_training) == (50.0, False)
    second.on_epoch_end(2)
    assert (second.spent, second.model.stop_training) == (61.0, True)
