import pandas as pd
import pytest

from tests.support.report_page import Samples, names_of, report, some, square, tabulate
from unetflow.reporting.html_page import percent


def test_page_is_whole_and_needs_no_other_file():
    page = report(*some(20), [("a.tif", "it is empty", "Copy it again")])
    assert page.html.lstrip().startswith('<!DOCTYPE html>\n<html lang="en">')
    tags = [tag for tag, _ in page.elements]
    assert not {"script", "link", "iframe", "object", "form"} & set(tags)
    identifiers = [a["id"] for _, a in page.elements if "id" in a]
    assert len(identifiers) == len(set(identifiers))
    targets = {a["href"] for _, a in page.elements if "href" in a}
    assert targets <= {f"#{name}" for name in identifiers}
    assert all(a["src"].startswith("data:image/") for t, a in page.elements if t == "img")
    assert all("alt" in a for t, a in page.elements if t == "img")
    assert "http:" not in page.html
    assert "https:" not in page.html
    assert "url(" not in page.html


def test_same_data_give_the_same_page():
    assert report(*some(3)).html == report(*some(3)).html


def test_names_are_escaped():
    evil = "<script>alert(1)</script>"
    samples = Samples({evil: square(), "a&amp;`b`": square(), "c": square()})
    classes = ["back`ground", '"><b onclick=x>']
    table = tabulate(samples, ["train", "validation", "test"], classes, overlap=3, split_rule="<u>")
    page = report(
        samples,
        table,
        [("/a/<img src=x>`y`.tif", "</table><h1>", "Set `<i>`")],
        [(evil, "c", "<s>", 3, 0.5)],
        classes=classes,
    )
    tags = {tag for tag, _ in page.elements}
    assert not {"script", "u", "s", "i"} & tags
    assert not any("onclick" in attributes for _, attributes in page.elements)
    assert set(names_of(page)) == {evil, "a&amp;`b`", "c"}
    assert page.tables["Files that cannot be used, and how to fix them"][1] == [
        "/a/<img src=x>`y`.tif",
        "</table><h1>",
        "Set <i>",
    ]
    assert ("code", {}) in page.elements
    assert page.tables["Images in which objects overlap"][1][0] == evil
    assert '"><b onclick=x>' in page.texts["images"]
    assert "back`ground: neither tint nor outline" in page.texts["images"]
    assert "<u> (3 images)" in page.texts["splits"]


@pytest.mark.usefixtures("blank_charts")
def test_summary_has_the_numbers_of_the_table():
    samples = Samples({f"s{n}": square(24 if n else 40) for n in range(6)})
    splits = ["train", "train", "train", "validation", "test", "test"]
    objects = [1000, 234, 3, 3, 3, 3]
    table = tabulate(samples, splits, objects=objects, image_bytes=500_000)
    page = report(
        samples, table, [("a", "b", "c")] * 2, leaks=[("same", "s0", "s4", "train", "test")]
    )
    assert page.facts == {
        "Images": "6 (3.0 MB)",
        "Sizes": "2, from 24 x 24 to 40 x 40",
        "Channels": "1",
        "Depth": "8 bit",
        "Classes": "2: background and nucleus",
        "Objects": "1,246 (median 3 per image)",
        "Splits": "3 training, 1 validation, 2 test",
        "Left out": "2 files",
        "Leaks": "1 pair",
        "Suspected duplicates": "0 pairs",
    }
    assert page.tables["Images of each size in pixels"] == [
        ["width x height", "images"],
        ["24 x 24", "5"],
        ["40 x 40", "1"],
    ]
    assert page.tables["Objects by split"][1:] == [
        ["training", "1,237", "412.3", "234", "3", "1,000", "0", "0 (0 %)"],
        ["validation", "3", "3.0", "3", "3", "3", "0", "0 (0 %)"],
        ["test", "6", "3.0", "3", "3", "3", "0", "0 (0 %)"],
    ]


@pytest.mark.usefixtures("blank_charts")
def test_each_image_that_is_shown_has_one_thumbnail_and_no_other_is_opened():
    samples, table = some(150)
    page = report(samples, table)
    names = names_of(page)
    assert len(names) == len(set(names)) == 60
    assert sorted(samples.opened) == sorted(names)
    rows = table.set_index("id")
    assert rows.loc[names, "split"].value_counts().to_dict() == dict.fromkeys(
        ("train", "validation", "test"), 20
    )
    said = {"train": "training", "validation": "validation", "test": "test"}
    for figure in page.figures:
        split = said[rows.loc[figure["text"][0], "split"]]
        assert figure["text"][1:] == [f"24 x 24, {split}", "1 object"]
    assert "Training: 20 of 90 images" in page.texts["images"]


@pytest.mark.usefixtures("blank_charts")
def test_groups_are_explained():
    samples, table = some(3)
    divided = report(samples, table.assign(group="volume", fold=0)).texts["splits"]
    assert "1 group has images in several splits" in divided
    assert "random (3 images)" in divided
    assert "Images by fold of the cross-validation" in divided
    alone = report(samples, table).texts["splits"]
    assert "Each image is its own group" in alone
    assert "fold" not in alone


@pytest.mark.usefixtures("blank_charts")
def test_overlaps_are_listed_worst_first():
    samples, table = some(60)
    overlap = [(7 * n) % 60 for n in range(60)]
    page = report(samples, table.assign(overlap=overlap))
    rows = page.tables["Images in which objects overlap"][1:]
    assert [int(row[1]) for row in rows] == list(range(59, 9, -1))
    assert rows[0] == [f"s{overlap.index(59):03d}", "59", percent(59 / 576), "1"]
    assert "9 more images with a smaller overlap" in page.texts["objects"]


def test_page_without_images_shows_the_quarantine():
    rows = [(f"{n}.tif", "it is damaged", "Copy it again") for n in range(3)]
    for table in (pd.DataFrame(), pd.DataFrame({"id": []})):
        page = report(Samples({}), table, rows)
        assert page.findings[0][0] == "wrong"
        assert "No image can be used: 3 files were left out." in page.findings[0][1]
        assert [row[0] for row in page.tables.popitem()[1][1:]] == ["0.tif", "1.tif", "2.tif"]
        assert not page.figures
    nothing = report(Samples({}), pd.DataFrame())
    assert "No image was found. Correct the path" in nothing.findings[0][1]


@pytest.mark.usefixtures("blank_charts")
def test_long_quarantine_is_truncated_with_a_reference_to_the_file():
    rows = [(f"{n}.tif", "it is damaged", "Copy it again") for n in range(1502)]
    page = report(*some(4), rows)
    assert len(page.tables["Files that cannot be used, and how to fix them"]) == 501
    assert "1,002 more files" in page.texts["quarantine"]
    assert "quarantine.csv" in page.texts["quarantine"]


@pytest.mark.usefixtures("blank_charts")
def test_first_pairs_are_shown_as_pictures_and_others_listed():
    samples, table = some(60)
    duplicates = [(f"s{n:03d}", f"s{n + 1:03d}", "near", n, 0.9) for n in range(0, 58, 2)]
    leaks = [("near", "s000", "s001", "train", "test"), ("near", "s002", "gone", "train", "test")]
    page = report(samples, table, duplicates=duplicates, leaks=leaks)
    shown = names_of(page)[60:]
    expected = ["s000", "s001", "s002"] + [f"s{n:03d}" for n in range(2, 46)]
    assert shown == expected
    assert page.figures[60]["src"] == next(f["src"] for f in page.figures if f["text"][0] == "s000")
    assert len(samples.opened) == 60
    assert "gone" in page.texts["pairs"]
    assert "There is no sample with this name" in page.texts["pairs"]
    kinds = [a["class"] for _, a in page.elements if a.get("class", "").startswith("pair ")]
    assert kinds == ["pair wrong"] * 2 + ["pair doubtful"] * 22
    assert [row[:2] for row in page.tables["More pairs"][1:]] == [
        [f"s{n:03d}", f"s{n + 1:03d}"] for n in range(46, 58, 2)
    ]
