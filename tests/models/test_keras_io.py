import keras
import numpy as np
import pytest

from tests.support.networks import randomise, tiny_unet
from unetflow.core.errors import InputError
from unetflow.models.keras_io import load_keras, save_keras


def _names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_loaded_network_computes_the_same(tmp_path, random):
    unet = randomise(tiny_unet(normalisation="group", dropout=0.2))
    save_keras(unet, tmp_path / "new folder" / "unet.keras")
    loaded = load_keras(tmp_path / "new folder" / "unet.keras")
    image = random.random((1, 8, 8, 1))
    np.testing.assert_array_equal(loaded(image), unet(image))
    assert loaded.name == "U-Net"


def test_finish_is_called_before_the_file_is_in_its_place(tmp_path):
    path = tmp_path / "unet.keras"
    seen = []

    def finish(temporary):
        seen.append((temporary.parent, temporary.stat().st_size > 0, path.exists()))
        temporary.write_bytes(b"finished")

    save_keras(tiny_unet(), path, finish)
    assert seen == [(tmp_path, True, False)]
    assert path.read_bytes() == b"finished"
    assert _names(tmp_path) == ["unet.keras"]


def test_an_interrupted_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "unet.keras"
    save_keras(tiny_unet(), path)
    old = path.read_bytes()

    def interrupt(temporary):
        temporary.write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save_keras(tiny_unet(), path, interrupt)
    assert path.read_bytes() == old
    assert _names(tmp_path) == ["unet.keras"]


def test_a_failed_save_leaves_no_file(tmp_path, monkeypatch):
    unet = tiny_unet()

    def fail(path):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(unet, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        save_keras(unet, tmp_path / "unet.keras")
    assert _names(tmp_path) == []


def test_a_missing_file_is_named(tmp_path):
    path = tmp_path / "absent.keras"
    with pytest.raises(InputError) as caught:
        load_keras(path)
    assert str(caught.value).startswith(f"{path}: the file is not there. Run the stage")


def test_a_folder_is_not_a_model(tmp_path):
    with pytest.raises(InputError, match="the file is not there"):
        load_keras(tmp_path)


@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b"text", lambda b: b[: len(b) // 2]])
def test_a_damaged_file_is_named(tmp_path, damage):
    path = tmp_path / "unet.keras"
    save_keras(tiny_unet(), path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match="cannot be loaded as a Keras model") as caught:
        load_keras(path)
    assert caught.value.where == str(path)


def test_a_file_that_would_run_code_is_refused(tmp_path):
    ran = []
    inputs = keras.Input((2,))
    outputs = keras.layers.Lambda(lambda x: ran.append(1) or x, output_shape=(2,))(inputs)
    path = tmp_path / "lambda.keras"
    keras.Model(inputs, outputs).save(path)
    ran.clear()
    with pytest.raises(InputError, match="cannot be loaded") as caught:
        load_keras(path)
    assert "Lambda" in caught.value.problem
    assert ran == []
