import numpy as np
import pytest

from tests.support.images import store_samples
from unetflow.augmentation import map_folder
from unetflow.augmentation import weight_map as weighing
from unetflow.augmentation.weight_map import (
    WeightFolder,
    objects_of,
    update_weight_maps,
    weight_map,
)
from unetflow.config.training import WeightMapParameters
from unetflow.data.samples import INSTANCES, Sample
from unetflow.io.tiff_writer import write_tiff

RULE = WeightMapParameters(border_weight=10.0, border_width=3.0)
WIDER = WeightMapParameters(border_weight=10.0, border_width=4.0)
CLASS_WEIGHTS = {"gap": 0.5, "square": 2.0}


def two_squares():
    label = np.zeros((12, 20), np.uint8)
    label[3:9, 2:9] = 1
    label[3:9, 11:18] = 1
    label[0, 0] = 255
    return Sample(np.zeros((12, 20, 1), np.uint8), label)


@pytest.fixture
def stored(tmp_path):
    samples = {"a": two_squares(), "sub/b": two_squares()}
    return store_samples(tmp_path / "samples", samples)[1]


@pytest.fixture
def counted(monkeypatch):
    """Return the calls of `weight_map`."""
    calls = []

    def count(*arguments, **options):
        calls.append(arguments)
        return weight_map(*arguments, **options)

    monkeypatch.setattr(weighing, "weight_map", count)
    return calls


def open_maps(folder, stored):
    return WeightFolder(folder, list(stored))


def test_each_sample_gets_the_map_of_its_label(tmp_path, stored):
    assert update_weight_maps(WeightFolder(tmp_path / "maps"), stored, RULE, CLASS_WEIGHTS) == 2
    maps = open_maps(tmp_path / "maps", stored)
    assert list(maps) == ["a", "sub/b"]
    expected = weight_map(
        two_squares().label, None, class_weights=(0.5, 2.0), border_weight=10, border_width=3
    )
    assert expected.max() > 5
    for found in maps.values():
        assert isinstance(found, np.memmap)
        np.testing.assert_array_equal(np.array(found), expected, strict=True)
    with pytest.raises(KeyError):
        maps["c"]


def test_objects_are_those_of_the_source_or_the_pieces_of_a_class(tmp_path, stored):
    one_object = (two_squares().label == 1).astype(np.uint16)
    write_tiff(tmp_path / "samples/samples/a" / INSTANCES, one_object)
    update_weight_maps(WeightFolder(tmp_path / "maps"), stored, RULE, CLASS_WEIGHTS)
    assert open_maps(tmp_path / "maps", stored)["a"].max() == 2.0
    update_weight_maps(
        WeightFolder(tmp_path / "maps"),
        stored,
        RULE.model_copy(update={"objects": "gap"}),
        CLASS_WEIGHTS,
    )
    label = two_squares().label
    expected = weight_map(
        label, objects_of(label, 0), class_weights=(0.5, 2.0), border_weight=10, border_width=3
    )
    np.testing.assert_array_equal(open_maps(tmp_path / "maps", stored)["a"], expected)


def test_maps_are_computed_once_and_again_when_anything_changes(tmp_path, stored, counted):
    folder = WeightFolder(tmp_path / "maps")
    for _ in range(2):
        update_weight_maps(folder, stored, RULE, CLASS_WEIGHTS)
    assert len(counted) == 2
    assert update_weight_maps(folder, stored, WIDER, CLASS_WEIGHTS) == 2
    stored.descriptions["a"] = {**stored.descriptions["a"], "stamp": "another"}
    assert update_weight_maps(folder, stored, WIDER, CLASS_WEIGHTS) == 1
    (folder.folder / "sub/b/weights.tif").unlink()
    assert update_weight_maps(folder, stored, WIDER, CLASS_WEIGHTS) == 1


def test_maps_that_are_no_longer_wanted_go(tmp_path, stored):
    folder = WeightFolder(tmp_path / "maps")
    update_weight_maps(folder, stored, RULE, CLASS_WEIGHTS)
    update_weight_maps(folder, stored.select(["a"]), RULE, CLASS_WEIGHTS)
    assert sorted(path.name for path in folder.folder.rglob("*.tif")) == ["weights.tif"]
    assert update_weight_maps(folder, stored.select(["a"]), RULE, CLASS_WEIGHTS) == 0


def test_a_run_that_is_killed_leaves_no_half_map(tmp_path, stored, monkeypatch):
    def die(*arguments, **options):
        raise KeyboardInterrupt

    folder = WeightFolder(tmp_path / "maps")
    with monkeypatch.context() as patch:
        patch.setattr(map_folder, "write_tiff", die)
        with pytest.raises(KeyboardInterrupt):
            update_weight_maps(folder, stored, RULE, CLASS_WEIGHTS)
    assert not list(folder.folder.rglob("weights.json"))
    assert update_weight_maps(folder, stored, RULE, CLASS_WEIGHTS) == 2


def test_samples_carry_their_maps(tmp_path, stored):
    update_weight_maps(WeightFolder(tmp_path / "maps"), stored, RULE, CLASS_WEIGHTS)
    weighted = stored.with_maps(open_maps(tmp_path / "maps", stored), {})
    assert list(weighted) == ["a", "sub/b"]
    assert len(weighted) == 2
    sample = weighted["sub/b"]
    np.testing.assert_array_equal(sample.label, two_squares().label)
    assert sample.weights.shape == (12, 20)
