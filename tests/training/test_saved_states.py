import errno
import io
import os
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from unetflow.core import atomic
from unetflow.core.errors import InputError
from unetflow.training.saved_states import CheckpointFolder, TrainingState

IDENTITY = {"seed": 1, "training.loss": "bce + dice", "weights": [1.5, None], "data": "a" * 64}


@pytest.fixture
def folder(tmp_path):
    return CheckpointFolder(tmp_path / "checkpoints", keep=2)


def _state(number=0):
    arrays = {"weight_0": np.arange(6.0, dtype=np.float32).reshape(2, 3) + number}
    return TrainingState({"history": [{"loss": 0.1 + number}], "finished": False}, arrays)


def _assert_same(state, expected):
    assert state.facts == expected.facts
    assert state.arrays.keys() == expected.arrays.keys()
    for name, array in expected.arrays.items():
        np.testing.assert_array_equal(state.arrays[name], array)
        assert state.arrays[name].dtype == array.dtype


def test_the_same_training_finds_its_state_again(folder):
    checkpoint = folder.of(IDENTITY)
    assert checkpoint.load() is None
    for number in (1, 2):
        checkpoint.save(_state(number))
    _assert_same(folder.of(dict(reversed(IDENTITY.items()))).load(), _state(2))
    assert [path.parent for path in folder.paths()] == [folder.folder]


def test_another_training_does_not_find_it_and_says_what_differs(folder, caplog):
    folder.of(IDENTITY).save(_state())
    other = {**IDENTITY, "training.loss": "dice", "data": "b" * 64}
    assert folder.of(other).load() is None
    assert "data, training.loss (bce + dice there, dice now)" in caplog.text
    assert "seed" not in caplog.text
    _assert_same(folder.of(IDENTITY).load(), _state())


def test_a_state_under_a_wrong_name_is_refused(folder):
    folder.of(IDENTITY).save(_state())
    other = folder.of({**IDENTITY, "seed": 2})
    folder.of(IDENTITY).path.rename(other.path)
    with pytest.raises(InputError, match=r"seed \(1 there, 2 now\)"):
        other.load()


@pytest.mark.parametrize("keep", [0, 1, 100, 400])
def test_a_damaged_state_is_refused_and_stays(folder, keep):
    checkpoint = folder.of(IDENTITY)
    checkpoint.save(_state())
    checkpoint.path.write_bytes(checkpoint.path.read_bytes()[:keep])
    with pytest.raises(InputError, match="damaged") as refused:
        checkpoint.load()
    assert refused.value.where == str(checkpoint.path)
    assert checkpoint.path.stat().st_size == keep


def test_a_flipped_bit_is_noticed(folder):
    checkpoint = folder.of(IDENTITY)
    checkpoint.save(_state())
    content = bytearray(checkpoint.path.read_bytes())
    place = content.index(_state().arrays["weight_0"].tobytes())
    content[place] ^= 1
    checkpoint.path.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        checkpoint.load()


def test_objects_are_not_read(folder):
    checkpoint = folder.of(IDENTITY)
    checkpoint.path.parent.mkdir(parents=True)
    pickled = io.BytesIO()
    np.save(pickled, np.array([{}], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(checkpoint.path, "w") as file:
        file.writestr("header.npy", pickled.getvalue())
    with pytest.raises(InputError, match="damaged"):
        checkpoint.load()


def test_a_disk_that_is_full_when_it_is_synced_keeps_the_state_before(folder, monkeypatch):
    def refuse(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    checkpoint = folder.of(IDENTITY)
    checkpoint.save(_state(1))
    monkeypatch.setattr(atomic.os, "fsync", refuse)
    with pytest.raises(InputError, match="No space left on device") as refused:
        checkpoint.save(_state(2))
    assert refused.value.where == str(checkpoint.path)
    assert "the state of the epoch before is kept" in str(refused.value)
    assert "Make room on the disk" in str(refused.value)
    _assert_same(checkpoint.load(), _state(1))
    assert [path.name for path in checkpoint.path.parent.iterdir()] == [checkpoint.path.name]


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on the size of files")
def test_a_file_that_cannot_be_written_to_its_end_keeps_the_state_before(folder):
    import resource

    checkpoint = folder.of(IDENTITY)
    checkpoint.save(_state(1))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(InputError, match="File too large"):
            checkpoint.save(_state(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    _assert_same(checkpoint.load(), _state(1))
    assert [path.name for path in folder.folder.iterdir()] == [checkpoint.path.name]


def test_what_a_killed_process_left_half_written_is_removed(folder):
    checkpoint = folder.of(IDENTITY)
    checkpoint.save(_state(1))
    left = folder.folder / f".0123456789ab.{checkpoint.path.name}"
    left.write_bytes(b"PK")
    _assert_same(checkpoint.load(), _state(1))
    assert not left.exists()


def test_the_latest_trainings_are_kept(folder):
    for seed in range(4):
        folder.of({**IDENTITY, "seed": seed}).save(_state(seed))
        os.utime(folder.of({**IDENTITY, "seed": seed}).path, ns=(seed, seed))
    assert [folder.of({**IDENTITY, "seed": seed}).path.exists() for seed in range(4)] == [
        False,
        False,
        True,
        True,
    ]


def test_a_state_is_removed_for_good(folder):
    checkpoint = folder.of(IDENTITY)
    checkpoint.save(_state())
    checkpoint.remove()
    checkpoint.remove()
    assert list(Path(folder.folder).iterdir()) == []
