import copy
import json
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_masks
from pycocotools.coco import COCO

from unetflow.annotations import tables
from unetflow.annotations.class_map import ClassMap
from unetflow.annotations.layouts.coco_table import find_coco
from unetflow.annotations.tables import resolve_path
from unetflow.config.classes import ClassSpec
from unetflow.core.errors import InputError
from unetflow.io.file_listing import list_files

CLASS_MAP = ClassMap(
    (ClassSpec("background", ("hole",)), ClassSpec("cell", ("cell",)), ClassSpec("other", None)),
    ignore=("unclear",),
)
SHAPE = (12, 15)
ENOUGH = 10**6
SQUARE = [[1, 1, 4, 1, 4, 4, 1, 4]]
NUMBERS = st.floats(-4, 20, allow_nan=False) | st.integers(-4, 20)
POLYGONS = st.integers(3, 6).flatmap(lambda n: st.lists(NUMBERS, min_size=2 * n, max_size=2 * n))


def packed(mask):
    runs = coco_masks.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(mask.shape), "counts": runs["counts"].decode()}


def listed(mask):
    counts, inside = [0], False
    for value in mask.T.ravel():
        if value != inside:
            counts.append(0)
            inside = value
        counts[-1] += 1
    return {"size": list(mask.shape), "counts": counts}


MASKS = hnp.arrays(bool, SHAPE)
SEGMENTATIONS = st.lists(POLYGONS, min_size=1, max_size=3) | MASKS.map(packed) | MASKS.map(listed)


def image(identifier, name, **more):
    return {"id": identifier, "file_name": name, "height": 12, "width": 15, **more}


def annotation(identifier, image_id, segmentation=SQUARE, category=1, **more):
    return {
        "id": identifier,
        "image_id": image_id,
        "category_id": category,
        "segmentation": segmentation,
        **more,
    }


def content(images, annotations):
    names = ["cell", "bud", "hole", "unclear"]
    categories = [{"id": number, "name": name} for number, name in enumerate(names, 1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def make(folder, table, *images):
    for name in images:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    text = table if isinstance(table, str) else json.dumps(table)
    (folder / "ann.json").write_text(text, encoding="utf-8")
    return list_files(folder)


def find(folder, table, *images, **options):
    return find_coco(make(folder, table, *images), annotations="ann.json", **options)


def only_error(pairing):
    (error,) = pairing.refused
    return error


@given(st.lists(st.tuples(SEGMENTATIONS, st.integers(1, 4), st.booleans()), max_size=5))
def test_drawing_equals_the_masks_of_the_coco_tools(tmp_path_factory, entries):
    annotations = [
        annotation(number, 7, segmentation, category, iscrowd=int(crowd))
        for number, (segmentation, category, crowd) in enumerate(entries, 1)
    ]
    table = content([image(7, "a.png")], annotations)
    oracle = COCO()
    oracle.dataset = copy.deepcopy(table)
    oracle.createIndex()
    masks = [oracle.annToMask(oracle.anns[number["id"]]).astype(bool) for number in annotations]
    label, instances = np.zeros(SHAPE, int), np.zeros(SHAPE, int)
    number, claims, ignored = 0, np.zeros(SHAPE, int), np.zeros(SHAPE, bool)
    for mask, (_, category, crowd) in zip(masks, entries, strict=True):
        if crowd or category == 4:
            ignored |= mask
            continue
        number += 1
        label[mask], instances[mask] = {1: 1, 2: 2, 3: 0}[category], number
        claims += mask
    label[ignored & (instances == 0)] = 255
    pairing = find(tmp_path_factory.mktemp("t"), table, "a.png")
    assert pairing.refused == []
    (pair,) = pairing.pairs
    if not all(mask.any() for mask in masks):
        with pytest.raises(InputError, match="no pixel of the image lies in it"):
            pair.annotation.draw(SHAPE, CLASS_MAP, ENOUGH)
        return
    drawn = pair.annotation.draw(SHAPE, CLASS_MAP, ENOUGH)
    np.testing.assert_array_equal(drawn.label, label)
    np.testing.assert_array_equal(drawn.instances, np.where(label == 0, 0, instances))
    assert drawn.overlap == np.count_nonzero(claims > 1)


def test_listed_images_are_paired_and_the_others_are_unlabelled(tmp_path):
    table = content(
        [image(3, "10.png"), image(1, "2.tif"), image(2, "sub/1.jpg")],
        [annotation(1, 3), annotation(2, 1)],
    )
    names = [f"images/{name}" for name in ("10.png", "2.tif", "sub/1.jpg", "more.png")]
    pairing = find(tmp_path, table, *names, images="images")
    assert pairing.refused == []
    assert [(pair.id, len(pair.annotation.objects)) for pair in pairing.pairs] == [
        ("2", 1),
        ("10", 1),
        ("sub/1", 0),
    ]
    assert {k: str(v) for k, v in pairing.unlabelled.items()} == {
        "more": str(tmp_path / "images/more.png")
    }
    assert pairing.pairs[0].annotation.where == f"{tmp_path / 'ann.json'}[2.tif]"
    assert pairing.pairs[0].annotation.size == SHAPE


def test_image_without_annotation_is_negative_by_default(tmp_path):
    table = content([image(1, "a.png"), image(2, "b.png")], [annotation(1, 1)])
    negative = find(tmp_path, table, "a.png", "b.png").pairs[1]
    assert not negative.annotation.draw(SHAPE, CLASS_MAP, ENOUGH).label.any()
    pairing = find(tmp_path, table, empty="unlabelled")
    assert [pair.id for pair in pairing.pairs] == ["a"]
    assert list(pairing.unlabelled) == ["b"]
    with pytest.raises(InputError, match=r"'no' is not a choice\. Use 'negative' or 'unlabelled'"):
        find(tmp_path, table, empty="no")


def test_ids_may_be_texts_and_sizes_may_be_missing(tmp_path):
    table = content(
        [{"id": "x", "file_name": ".\\sub\\a.png"}, image("y", "b.png")],
        [annotation("one", "x"), annotation("two", "y", iscrowd=None)],
    )
    pairing = find(tmp_path, table, "sub/a.png", "b.png")
    assert [pair.id for pair in pairing.pairs] == ["b", "sub/a"]
    assert pairing.pairs[1].annotation.draw((5, 5), CLASS_MAP, ENOUGH).instances.sum() == 9
    assert pairing.pairs[1].annotation.objects[0].where == "annotation 'one'"


def test_file_in_an_archive_with_a_byte_order_mark_is_read(tmp_path):
    text = json.dumps(content([image(1, "a.png")], [annotation(1, 1)]))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("ann/x.json", text.encode("utf-8-sig"))
        archive.writestr("images/a.png", b"")
    listing = list_files(tmp_path / "a.zip")
    (pair,) = find_coco(listing, annotations="ann/x.json", images="images").pairs
    assert str(pair.image) == f"{tmp_path / 'a.zip'}/images/a.png"


@pytest.mark.parametrize(
    ("name", "problem", "fix"),
    [
        ("../a.png", "its file_name '../a.png' leads out of the folder", "starts from there"),
        ("x/../../a.png", "leads out", "starts from there"),
        ("..\\a.png", "leads out", "starts from there"),
        ("/a.png", "leads out", "starts from there"),
        ("C:\\a.png", "leads out", "starts from there"),
        ("//host/a.png", "leads out", "starts from there"),
        ("gone.png", "its file 'gone.png' is not in the folder of images", "Add the image"),
        ("text.txt", "no reader knows its file 'text.txt'", "Convert it to PNG or TIFF"),
        ("", "no reader knows its file ''", "Convert"),
        ("b.png", "its id or its file_name is not unique", "Export"),
        ("./x/../b.png", "its id or its file_name is not unique", "Export"),
        (5, "its 'file_name' is 5, but it must be a valid string", "Export"),
    ],
)
def test_wrong_file_name_is_refused_and_the_other_images_stay(tmp_path, name, problem, fix):
    table = content([image(1, name), image(2, "b.png"), image(3, "c.png")], [])
    names = ("a.png", "images/b.png", "images/c.png", "images/text.txt")
    pairing = find(tmp_path, table, *names, images="images")
    error = pairing.refused[0]
    assert problem in error.problem
    assert fix in error.fix
    place = "images[0]" if name == 5 else "image 1"
    assert error.where == f"{tmp_path / 'ann.json'}, {place}"
    assert [pair.id for pair in pairing.pairs] == (["c"] if "unique" in problem else ["b", "c"])
    assert pairing.unlabelled == {}


@pytest.mark.parametrize(
    ("images", "problem"),
    [
        ([{"file_name": "a.png"}], "its 'id' is missing"),
        (
            [{"file_name": "a.png", "id": [1]}],
            "its 'id' is a list, but it must be a whole number or a text",
        ),
        ([{"file_name": "a.png", "id": True}], "its 'id' is True, but it must be a whole number"),
        ([{"id": 1}], "its 'file_name' is missing"),
        ([image(1, "a.png"), image(1, "c.png")], "its id or its file_name is not unique"),
        ([image(1, "a.png", height=0)], "its 'height' 0 and 'width' 15 are not a size"),
        ([image(1, "a.png", width="15")], "are not a size"),
        ([image(1, "a.png", width=None)], "are not a size"),
    ],
)
def test_wrong_image_is_refused_and_the_others_stay(tmp_path, images, problem):
    table = content([*images, image(2, "b.png")], [])
    pairing = find(tmp_path, table, "a.png", "b.png", "c.png")
    assert all(problem in error.problem for error in pairing.refused)
    assert len(pairing.refused) == len(images)
    assert [pair.id for pair in pairing.pairs] == ["b"]
    listed_names = {record.get("file_name", "x")[0] for record in images}
    assert pairing.unlabelled.keys() == {"a", "c"} - listed_names


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"category_id": 9}, "there is no category with the id 9"),
        (
            {"category_id": None},
            "its 'category_id' is None, but it must be a whole number or a text",
        ),
        ({"iscrowd": 2}, "its 'iscrowd' is 2, but it must be 0, 1 or None"),
        ({"iscrowd": []}, "its 'iscrowd' is a list"),
        ({"segmentation": []}, "it has no outline in 'segmentation', perhaps only a box"),
        ({"segmentation": None}, "it has no outline"),
        ({"segmentation": "x"}, "it has no outline"),
        (
            {"segmentation": [1, 2, 3, 4, 5, 6]},
            "its 'segmentation[0]' is 1, but it must be a valid tuple",
        ),
        (
            {"segmentation": [[1, 2, 3, 4]]},
            "a list, but it must hold x and y of at least 3 corners",
        ),
        (
            {"segmentation": [[1, 2, 3, 4, 5, 6, 7]]},
            "a list, but it must hold x and y of at least 3 corners",
        ),
        ({"segmentation": [[]]}, "a list, but it must hold x and y of at least 3 corners"),
        (
            {"segmentation": [[1, 2, 3, 4, 5, None]]},
            "its 'segmentation[0][5]' is None, but it must be a valid number",
        ),
        (
            {"segmentation": [[1, 2, 3, 4, 5, float("nan")]]},
            "its 'segmentation[0][5]' is nan, but it must be a finite number",
        ),
        (
            {"segmentation": [[1, 2, 3, 4, 5, 1e99]]},
            "is 1e+99, but it must be less than or equal to 134217728",
        ),
        ({"segmentation": {"counts": [180]}}, "without 'size' or 'counts'"),
        ({"segmentation": {"size": [12, 15], "counts": 180}}, "without 'size' or 'counts'"),
        ({"segmentation": {"size": [12], "counts": [180]}}, "without 'size' or 'counts'"),
        ({"segmentation": {"size": [12, 15], "counts": [180.0]}}, "without 'size' or 'counts'"),
        ({"segmentation": {"size": [12, 15], "counts": [True, 179]}}, "without 'size' or 'counts'"),
        ({"id": 1}, "its id is not unique"),
    ],
)
def test_wrong_annotation_refuses_its_image_and_is_named(tmp_path, change, problem):
    good = annotation(1, 2)
    table = content([image(1, "a.png"), image(2, "b.png")], [{**annotation(5, 1), **change}, good])
    pairing = find(tmp_path, table, "a.png", "b.png")
    error = pairing.refused[0]
    assert problem in error.problem
    assert error.where == f"{tmp_path / 'ann.json'}[a.png], annotation {1 if 'id' in change else 5}"
    assert [pair.id for pair in pairing.pairs] == ([] if "id" in change else ["b"])
    assert pairing.unlabelled == {}


def test_annotation_without_id_is_refused(tmp_path):
    record = annotation(1, 1)
    del record["id"]
    error = only_error(find(tmp_path, content([image(1, "a.png")], [record]), "a.png"))
    assert "its 'id' is missing" in error.problem
    assert error.where == f"{tmp_path / 'ann.json'}[a.png], annotation None"


def test_annotations_of_an_unknown_image_are_counted_and_refused(tmp_path):
    table = content([image(1, "a.png")], [annotation(1, 1), annotation(2, 8), annotation(3, 8)])
    pairing = find(tmp_path, table, "a.png")
    assert [pair.id for pair in pairing.pairs] == ["a"]
    error = only_error(pairing)
    assert error.problem == "2 annotations are of it, but it is not among the `images`"
    assert error.where == f"{tmp_path / 'ann.json'}, image 8"


def test_object_outside_its_image_is_refused_when_it_is_drawn(tmp_path):
    table = content([image(1, "a.png")], [annotation(12, 1, [[50, 50, 60, 50, 60, 60]])])
    (pair,) = find(tmp_path, table, "a.png").pairs
    with pytest.raises(InputError, match="no pixel of the image") as caught:
        pair.annotation.draw(SHAPE, CLASS_MAP, ENOUGH)
    assert caught.value.where == f"{tmp_path / 'ann.json'}[a.png], annotation 12"


@pytest.mark.parametrize("counts", ["0" + "o" * 5 + "7", [181], [-1, 181], []])
def test_runs_that_do_not_fill_the_image_are_refused_when_they_are_drawn(tmp_path, counts):
    runs = {"size": [12, 15], "counts": counts}
    table = content([image(1, "a.png")], [annotation(12, 1, runs)])
    (pair,) = find(tmp_path, table, "a.png").pairs
    with pytest.raises(InputError, match="do not fill the image's 180 pixels"):
        pair.annotation.draw(SHAPE, CLASS_MAP, ENOUGH)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", r"not a JSON file \(Expecting value"),
        ("[" * 100_000, "not a JSON file"),
        ('{"images": ' + "9" * 5000 + "}", "not a JSON file"),
        ("[]", "its JSON is not an object with keys"),
        ("{}", "its 'images' is missing"),
        ({"images": [], "annotations": []}, "its 'categories' is missing"),
        ({"images": [], "categories": []}, "its 'annotations' is missing"),
        ({**content([], []), "images": {}}, "its 'images' is a dict, but it must be a valid list"),
        (content([3], []), r"its 'images\[0\]' is 3, but it must be a valid dictionary"),
        (content([], ["x"]), r"annotations\[0\]: it is 'x', but it must be a valid dictionary\."),
        (content([], [{"id": 1}]), r"annotations\[0\]: its 'image_id' is missing"),
        (
            {**content([], []), "categories": [{"name": "x"}]},
            r"categories\[0\]: its 'id' is missing",
        ),
        (
            {**content([], []), "categories": [{"id": 1}]},
            r"categories\[0\]: its 'name' is missing",
        ),
        (
            {**content([], []), "categories": [{"id": 1, "name": "x"}] * 2},
            r"categories\[1\]: its id 1 is not unique",
        ),
    ],
)
def test_wrong_file_is_refused_as_a_whole(tmp_path, table, message):
    with pytest.raises(InputError, match=message) as caught:
        find(tmp_path, table, "a.png")
    assert caught.value.where.startswith(str(tmp_path / "ann.json"))


def test_missing_file_folder_and_too_large_a_file_are_refused(tmp_path, monkeypatch):
    listing = make(tmp_path, content([], []), "a.png")
    with pytest.raises(InputError, match="no such file"):
        find_coco(listing, annotations="other.json")
    with pytest.raises(InputError, match="no such folder"):
        find_coco(listing, annotations="ann.json", images="images")
    monkeypatch.setattr(tables, "MAX_TABLE_BYTES", 9)
    with pytest.raises(InputError, match="more than the allowed 9"):
        find_coco(listing, annotations="ann.json")


def test_images_of_unsupported_formats_are_refused(tmp_path):
    table = content([image(1, "a.png")], [])
    error = only_error(find(tmp_path, table, "a.png", "b.webp"))
    assert error.where == str(tmp_path / "b.webp")


@pytest.mark.parametrize(
    ("folder", "name", "place"),
    [
        (".", "a.png", "a.png"),
        ("json", "../images/a.png", "images/a.png"),
        ("json", "..\\images\\a.png", "images/a.png"),
        ("json", "../../a.png", None),
        ("json", "../..", None),
        ("json", "..a/b.png", "json/..a/b.png"),
        ("json", "\\a.png", None),
        ("json", "c:a.png", None),
    ],
)
def test_paths_in_tables_are_resolved_within_the_root(folder, name, place):
    assert resolve_path(folder, name) == place


def test_mutated_files_end_in_pairs_or_in_an_input_error(tmp_path):
    mask = np.arange(180).reshape(SHAPE) % 7 < 3
    table = content(
        [image(1, "a.png"), image(2, "b.png")],
        [
            annotation(1, 1),
            annotation(2, 1, listed(mask), 2),
            annotation(3, 2, packed(mask), 1, iscrowd=1),
            annotation(4, 2, [[0.5, 2, 9.25, 3, 4, 11]], 2),
        ],
    )
    listing, whole = make(tmp_path, table, "a.png", "b.png"), json.dumps(table).encode()
    generator = np.random.default_rng(5)
    drawn = refused = 0
    for _ in range(250):
        data = bytearray(whole)
        for _ in range(generator.integers(1, 4)):
            place = int(generator.integers(len(data)))
            if generator.random() < 0.3:
                del data[place : place + int(generator.integers(1, 10))]
            elif generator.random() < 0.5:
                data[place] ^= 1 << int(generator.integers(8))
            else:
                digits = [n for n, byte in enumerate(data) if chr(byte) in "0123456789"]
                data[generator.choice(digits)] = generator.choice(list(b"0123456789-.eN"))
        (tmp_path / "ann.json").write_bytes(data)
        try:
            for pair in find_coco(listing, annotations="ann.json").pairs:
                pair.annotation.draw(SHAPE, CLASS_MAP, ENOUGH)
                drawn += 1
        except InputError:
            refused += 1
    assert drawn > 30
    assert refused > 50
