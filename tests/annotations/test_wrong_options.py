"""Wrong options in the catalog raise nothing but an `InputError`."""

import contextlib
import inspect

import pytest

from tests.support.file_trees import make
from unetflow.annotations.layouts.find_pairs import LAYOUTS, find_pairs
from unetflow.annotations.split_table import SplitTable
from unetflow.core.errors import InputError

OPTIONS = [
    (layout, option)
    for layout, find in LAYOUTS.items()
    for option in inspect.signature(find).parameters
    if option != "listing"
]
VALUES = [3, 2.5, [], ["a"], {}, {"a": 1}, None, True, "", "/", ".", "..", "(", "a\0b"]
NOT_TEXT = [3, None, True, ["a"], {"a": 1}]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    (root / "t.csv").write_text("ImageId,EncodedPixels,kind\n1,1 1,a\n")
    (root / "a.json").write_text('{"images": [], "annotations": [], "categories": []}')
    return make(root, ["images/1.png"], ["masks/1.png"])


def options_of(layout, option, value):
    needed = {"coco": {"annotations": "a.json"}, "rle": {"table": "t.csv"}}
    return {**needed.get(layout, {}), option: value}


@pytest.mark.parametrize(("layout", "option"), OPTIONS)
@pytest.mark.parametrize("in_splits", [False, True])
def test_any_value_of_an_option_is_used_or_refused(root, layout, option, in_splits):
    for value in VALUES:
        options = options_of(layout, option, value)
        splits = {"train": options} if in_splits else None
        with contextlib.suppress(InputError):
            find_pairs(root, layout, {} if in_splits else options, splits)


@pytest.mark.parametrize(("layout", "option"), OPTIONS)
def test_an_option_of_another_type_is_refused_with_its_name(root, layout, option):
    expected = inspect.signature(LAYOUTS[layout]).parameters[option].annotation
    for value in NOT_TEXT:
        if not isinstance(value, expected):
            with pytest.raises(InputError, match=r"is not allowed\. Input should be") as caught:
                find_pairs(root, layout, options_of(layout, option, value))
            assert caught.value.where == f"{layout}.{option}"


@pytest.mark.parametrize("layout", [3, None, True, ["folders"], {"a": 1}])
def test_a_layout_that_is_not_a_text_is_refused(root, layout):
    with pytest.raises(InputError, match=r"there is no layout ") as caught:
        find_pairs(root, layout, {})
    assert caught.value.where == "layout"


@pytest.mark.parametrize("key", [3, None, True, 2.5])
def test_an_option_whose_name_is_not_a_text_is_refused(root, key):
    for options, splits in (({key: "a"}, None), ({}, {"train": {key: "a"}})):
        with pytest.raises(InputError, match="Keys should be strings") as caught:
            find_pairs(root, "folders", options, splits)
        assert caught.value.where.startswith("folders.")


@pytest.mark.parametrize("name", [3, None, True, 2.5])
def test_a_split_whose_name_is_not_a_text_is_refused(root, name):
    with pytest.raises(
        InputError, match=f"'{name}' is not a split. Use train, validation"
    ) as caught:
        find_pairs(root, "folders", {}, {name: {}})
    assert caught.value.where == "splits"


@pytest.mark.parametrize("splits", [3, "train", True, False, 0, "", [], ["train"]])
def test_splits_of_another_type_are_refused(root, splits):
    with pytest.raises(InputError, match="does not assign options to splits") as caught:
        find_pairs(root, "folders", {}, splits)
    assert caught.value.where == "splits"


@pytest.mark.parametrize("value", NOT_TEXT, ids=repr)
@pytest.mark.parametrize("key", ["file", "id", "split", "group"])
def test_keys_of_the_split_table_must_be_texts(key, value):
    values = {"file": "t.csv", "split": "a", "group": "b"} | {key: value}
    if value is None and key in ("split", "group"):
        assert getattr(SplitTable.read(values), key) is None
        return
    with pytest.raises(
        InputError, match=r"is not allowed\. Input should be a valid string"
    ) as caught:
        SplitTable.read(values)
    assert caught.value.where == f"split_table.{key}"


@pytest.mark.parametrize(
    "values",
    [
        *(None, 3, True, "text", ["a"], [], {}, {3: "a"}, {None: None}),
        {"file": "t.csv", "split": None},
        {"file": "t.csv", "split": "a", 3: "b"},
    ],
    ids=repr,
)
def test_a_split_table_of_another_type_is_refused(values):
    with pytest.raises(InputError, match=r"^(parameters|split_table)"):
        SplitTable.read(values)
