import json

import numpy as np
import pandas as pd
import pytest
from kedro.io import DatasetError

from unetflow.core.errors import InputError
from unetflow.datasets.objects import ObjectsFileDataset, TablesDataset
from unetflow.instances.extraction import find_objects

LABEL = np.array([[1, 0, 2], [1, 0, 2], [0, 0, 0], [0, 1, 0]], np.uint8)
FOUND = find_objects(LABEL), ["background", "cell", "nucleus"]


def test_the_ending_decides_the_format(tmp_path):
    for suffix in ("geojson", "zip"):
        ObjectsFileDataset(filepath=str(tmp_path / f"deep/a.{suffix}")).save(FOUND)
    features = json.loads((tmp_path / "deep/a.geojson").read_text())["features"]
    names = [feature["properties"]["classification"]["name"] for feature in features]
    assert names == ["cell", "nucleus", "cell"]
    assert (tmp_path / "deep/a.zip").read_bytes()[:2] == b"PK"


def test_another_ending_is_refused_and_nothing_is_read(tmp_path):
    dataset = ObjectsFileDataset(filepath=str(tmp_path / "a.shp"))
    assert not dataset.exists()
    with pytest.raises((InputError, DatasetError), match=r"a\.shp: objects are not written"):
        dataset.save(FOUND)
    with pytest.raises(DatasetError, match="only written"):
        dataset.load()


def test_tables_come_back_by_name_and_there_may_be_none(tmp_path):
    dataset = TablesDataset(path=str(tmp_path / "tables"))
    assert not dataset.exists()
    assert dataset.load() == {}
    tables = {
        "a": pd.DataFrame({"image": ["a", "a"], "area": [3, 4]}),
        "b/1.5": pd.DataFrame({"image": ["b"], "area": [5]}),
    }
    for name, table in tables.items():
        dataset.save({name: table})
    dataset.save({})
    found = dataset.load()
    assert set(found) == {"a", "b/1.5"}
    for name, read in found.items():
        pd.testing.assert_frame_equal(read(), tables[name])
