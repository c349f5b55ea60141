import copy
import inspect
from pathlib import Path

import pandas as pd
import pytest
from kedro.io import DatasetError

from unetflow.datasets.file_datasets import AtomicDataset


def _dataset(path: Path) -> AtomicDataset:
    config = {"type": "pandas.CSVDataset", "save_args": {"index": False}}
    return AtomicDataset(filepath=str(path), dataset=config)


def test_gives_back_what_was_saved(tmp_path):
    table = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    dataset = _dataset(tmp_path / "new" / "table.csv")
    assert not dataset.exists()
    dataset.save(table)
    assert dataset.exists()
    pd.testing.assert_frame_equal(dataset.load(), table)


def test_type_alone_is_enough(tmp_path):
    dataset = AtomicDataset(filepath=str(tmp_path / "a.json"), dataset="json.JSONDataset")
    dataset.save({"a": 1})
    assert dataset.load() == {"a": 1}


class _HalfWritten:
    """Fails after a part of it has been written."""

    def to_csv(self, path_or_buf, **_options):
        path_or_buf.write("a,b\n1,")
        raise OSError("no space left on device")


def test_failed_save_leaves_the_old_file_and_nothing_else(tmp_path):
    dataset = _dataset(tmp_path / "table.csv")
    dataset.save(pd.DataFrame({"a": [1]}))
    before = (tmp_path / "table.csv").read_bytes()
    with pytest.raises(DatasetError, match="no space left"):
        dataset.save(_HalfWritten())
    assert (tmp_path / "table.csv").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_preview_is_that_of_the_other_dataset(tmp_path):
    dataset = _dataset(tmp_path / "table.csv")
    dataset.save(pd.DataFrame({"a": [1, 2, 3]}))
    assert dataset.preview(nrows=2)["data"] == [[1], [2]]
    assert inspect.signature(dataset.preview).return_annotation == "TablePreview"
    text = AtomicDataset(filepath=str(tmp_path / "a.txt"), dataset="text.TextDataset")
    text.save("no table")
    assert not hasattr(text, "preview")
    assert not hasattr(_dataset(tmp_path / "missing.csv"), "preview")


def test_has_the_name_of_the_other_dataset_and_can_be_copied(tmp_path):
    dataset = copy.deepcopy(_dataset(tmp_path / "table.csv"))
    assert isinstance(dataset, AtomicDataset)
    assert type(dataset).__qualname__ == "CSVDataset"
    assert type(dataset).__module__ == "kedro_datasets.pandas.csv_dataset"
    dataset.save(pd.DataFrame({"a": [1]}))
    assert dataset.load()["a"].tolist() == [1]
