import shutil
from pathlib import Path

import pytest

from tests.support.images import touch_images
from unetflow.annotations.raster import SemanticMask, SourceImage
from unetflow.annotations.records import Pair, Pairing
from unetflow.annotations.split_table import (
    SplitTable,
    apply_split_table,
    find_split_words,
    find_splits,
    parse_split,
)
from unetflow.core.errors import InputError

TABLE = "id,side,patient\na,train,p1\nb,val,p2\nc,test,p1\nelsewhere,test,p9\n"


def pair_of(name, page=None, group=None):
    image = SourceImage(
        Path(f"images/{name.partition('/')[0] if page is not None else name}.png"), page
    )
    return Pair(name, image, SemanticMask(image), group=group)


def apply(root, text, pairs, **columns):
    (root / "t.csv").write_text(text, encoding="utf-8")
    table = SplitTable.read({"file": "t.csv", **columns})
    return apply_split_table(Pairing(pairs, []), root, table)


def sides(pairing):
    return [(pair.id, pair.split, pair.group) for pair in pairing.pairs]


def only_error(pairing):
    (error,) = pairing.refused
    return error


def test_split_and_group_come_from_the_table(tmp_path):
    pairs = [pair_of(name) for name in "abc"]
    pairing = apply(tmp_path, TABLE, pairs, split="side", group="patient")
    assert sides(pairing) == [
        *(("a", "train", "p1"), ("b", "validation", "p2"), ("c", "test", "p1"))
    ]
    assert pairing.refused == []


def test_a_table_of_groups_leaves_the_split_open(tmp_path):
    pairing = apply(tmp_path, TABLE, [pair_of("b")], group="patient")
    assert sides(pairing) == [("b", None, "p2")]


def test_a_table_of_splits_keeps_the_group_of_the_source(tmp_path):
    pairing = apply(tmp_path, TABLE, [pair_of("b", group="film")], split="side")
    assert sides(pairing) == [("b", "validation", "film")]


@pytest.mark.parametrize("name", ["deep/a", "a", "a.png", "images/deep/a.png"])
def test_an_image_is_listed_by_id_or_name_or_path(tmp_path, name):
    pairing = apply(tmp_path, f"id,side\n{name},test\n", [pair_of("deep/a")], split="side")
    assert sides(pairing) == [("deep/a", "test", None)]


def test_the_whole_id_precedes_its_last_part(tmp_path):
    text = "id,side\n1,test\np/1,train\n"
    assert sides(apply(tmp_path, text, [pair_of("p/1")], split="side")) == [("p/1", "train", None)]


def test_a_name_of_two_images_is_ambiguous(tmp_path):
    text = "id,side\n1,test\np/2,train\nq/2,val\n"
    pairs = [pair_of(name) for name in ("p/1", "q/1", "p/2", "q/2")]
    pairing = apply(tmp_path, text, pairs, split="side")
    assert sides(pairing) == [("p/2", "train", None), ("q/2", "validation", None)]
    assert [(e.where, e.fix) for e in pairing.refused] == [
        (f"images/{name}.png", f"Write '{name}' into the table") for name in ("p/1", "q/1")
    ]
    assert "the row '1' of t.csv matches several images" in pairing.refused[0].problem


def test_the_name_of_a_stack_lists_all_its_pages(tmp_path):
    pairs = [pair_of("film/000", 0), pair_of("film/001", 1)]
    pairing = apply(tmp_path, "id,side\nfilm.png,test\n", pairs, split="side")
    assert sides(pairing) == [("film/000", "test", None), ("film/001", "test", None)]


def test_an_image_without_row_is_refused(tmp_path):
    pairing = apply(tmp_path, TABLE, [pair_of("a"), pair_of("x")], split="side")
    assert sides(pairing) == [("a", "train", None)]
    assert only_error(pairing).where == "images/x.png"
    assert only_error(pairing).problem == "t.csv has no row for 'x'"


def test_ids_that_look_like_numbers_stay_texts(tmp_path):
    pairs = [pair_of("007"), pair_of("NA")]
    pairing = apply(tmp_path, "id,side\n007,train\nNA,test\n", pairs, split="side")
    assert sides(pairing) == [("007", "train", None), ("NA", "test", None)]


def test_the_table_may_be_in_the_archive(tmp_path):
    touch_images(tmp_path / "data", "images/a.png")
    (tmp_path / "data/t.csv").write_text(TABLE)
    shutil.make_archive(str(tmp_path / "data"), "zip", tmp_path / "data")
    table = SplitTable(file="t.csv", split="side")
    pairing = apply_split_table(Pairing([pair_of("a")], []), tmp_path / "data.zip", table)
    assert sides(pairing) == [("a", "train", None)]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("id,side\na,train\na,test\n", "it has several rows for 'a'"),
        ("id,side\na,both\n", "'both' is not a split"),
        ("name,side\na,train\n", "it has no column 'id'"),
        ("id,side\na,train,p1\n", "more fields than its header"),
        ("", "it is not a CSV table"),
        ("id,side\na,train\nb,test,p1,p2\n", "it is not a CSV table"),
    ],
)
def test_a_wrong_table_is_refused_with_its_file(tmp_path, text, problem):
    with pytest.raises(InputError, match=problem) as caught:
        apply(tmp_path, text, [pair_of("a")], split="side")
    assert caught.value.where == str(tmp_path / "t.csv")


def test_an_empty_cell_changes_nothing(tmp_path):
    text = "id,side,patient\na,,p1\nb,test,\nc\n"
    pairs = [pair_of("a"), pair_of("b", group="film"), pair_of("c")]
    pairing = apply(tmp_path, text, pairs, split="side", group="patient")
    assert sides(pairing) == [("a", None, "p1"), ("b", "test", "film"), ("c", None, None)]


def test_white_space_around_values_and_column_names_is_ignored(tmp_path):
    text = " id ,side , patient\n a , train\t,  p1 \nb,\t,p1\n"
    pairs = [pair_of("a"), pair_of("b")]
    pairing = apply(tmp_path, text, pairs, split="side", group="patient")
    assert sides(pairing) == [("a", "train", "p1"), ("b", None, "p1")]


def test_a_missing_table_is_refused(tmp_path):
    touch_images(tmp_path, "a.png")
    with pytest.raises(InputError, match="there is no such file") as caught:
        apply_split_table(Pairing([], []), tmp_path, SplitTable(file="t.csv", split="side"))
    assert caught.value.where == str(tmp_path / "t.csv")


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"file": "t.csv"},
        {"split": "side"},
        {"file": "t.csv", "split": "a", "grp": "b"},
        "t.csv",
    ],
)
def test_a_wrong_split_table_option_is_refused(values):
    with pytest.raises(InputError, match=r"^split_table.*: .*\. (Give `file`|Add|Did you mean 'g)"):
        SplitTable.read(values)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", "train"),
        (" Training ", "train"),
        ("val", "validation"),
        ("VALID", "validation"),
        ("dev", "validation"),
        ("validation", "validation"),
        ("testing", "test"),
    ],
)
def test_a_split_has_several_names(name, split):
    assert parse_split("splits", name) == split


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("data/train/images", ["train"]),
        ("ISIC2018_Task1_Training_Input", ["Training"]),
        ("annotations/instances_val2017.json", ["val"]),
        ("camvid/trainannot", ["train"]),
        ("Validation/x", ["Validation"]),
        ("train_test/val", ["train", "test", "val"]),
        ("constraint/interval/contest", []),
    ],
)
def test_words_for_splits_are_found_where_a_word_begins(path, words):
    assert find_split_words(path) == words
    assert find_splits(path) == tuple(parse_split(path, word) for word in words)
