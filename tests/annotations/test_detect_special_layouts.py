import json

import numpy as np
import pytest

from tests.support.file_trees import (
    EDGE,
    blob,
    find_only_candidate,
    make,
    names,
    noise,
    pairs_of,
    save,
)
from unetflow.annotations.autodetect import table_candidates
from unetflow.annotations.autodetect.detect_layout import detect_layout, find_candidates
from unetflow.annotations.class_map import ClassMap
from unetflow.annotations.layouts.find_pairs import find_pairs
from unetflow.config.classes import ClassSpec
from unetflow.core.errors import InputError

N = range(1, 4)
SQUARE = [[1, 1, 5, 1, 5, 5, 1, 5]]


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_coco(path, files):
    images = [
        {"id": i, "file_name": name, "height": EDGE, "width": EDGE} for i, name in enumerate(files)
    ]
    annotations = [
        {"id": i, "image_id": i, "category_id": 1, "segmentation": SQUARE}
        for i in range(len(files))
    ]
    categories = [{"id": 1, "name": "cell"}]
    write_json(path, {"images": images, "annotations": annotations, "categories": categories})


def write_labelme(path, image):
    shape = {"label": "cell", "points": [[1, 1], [5, 1], [5, 5]], "shape_type": "polygon"}
    size = {"imageHeight": EDGE, "imageWidth": EDGE}
    write_json(path, {"shapes": [shape], "imagePath": image, "imageData": None, **size})


def images_of(root, candidate):
    return sorted(pairs_of(root, candidate))


def draw_first(root, candidate, *class_values):
    """Draw the first annotation that a candidate finds."""
    pair = find_pairs(root, candidate.layout, candidate.options, candidate.splits).pairs[0]
    classes = [ClassSpec("background", ()), *(ClassSpec(v, (v,)) for v in class_values)]
    return pair.annotation.draw((EDGE, EDGE), ClassMap(tuple(classes)), 10**6).label


def test_one_mask_for_each_object(tmp_path):
    images = names("stage1/{0}/images/{0}.png", *N)
    masks = names("stage1/{}/masks/x{}.png", *((i, m) for i in N for m in range(3)))
    make(tmp_path, [*images, *names("stage1/{0}/images/{0}.png", *range(10, 20))], masks)
    candidate = find_only_candidate(tmp_path)
    assert (candidate.layout, candidate.options, candidate.n_unused) == ("objects", {}, 0)
    assert pairs_of(tmp_path, candidate) == {
        image: masks[3 * i : 3 * i + 3] for i, image in enumerate(images)
    }


def test_one_mask_in_a_folder_for_each_image_is_ambiguous(tmp_path):
    make(tmp_path, names("{0}/images/{0}.png", *N), names("{0}/masks/{0}.png", *N))
    assert {candidate.layout for candidate in find_candidates(tmp_path)} == {"objects", "folders"}


def test_cell_tracking_sequences(tmp_path):
    frames = names("{}/t{:03}.tif", *((s, n) for s in ("01", "02") for n in N))
    gold = names("{0}_GT/{1}.tif", ("01", "SEG/man_seg002"), ("01", "TRA/man_track002"))
    make(tmp_path, frames, gold)
    candidate = find_only_candidate(tmp_path)
    assert (candidate.layout, candidate.options) == ("cell_tracking", {})
    assert pairs_of(tmp_path, candidate) == {"01/t002.tif": ["01_GT/SEG/man_seg002.tif"]}


def test_cell_tracking_with_two_truths_is_ambiguous(tmp_path):
    make(tmp_path, names("01/t{:03}.tif", *N), names("01_GT/SEG/man_seg{:03}.tif", 1))
    make(tmp_path, [], names("01_ST/SEG/man_seg{:03}.tif", *N))
    with pytest.raises(InputError, match=r"in 2 ways") as caught:
        detect_layout(tmp_path)
    assert "truth: ST" in caught.value.problem


@pytest.mark.parametrize("others", [[], ["test-volume.tif"]])
def test_stacks(tmp_path, others):
    for name in ("train-volume.tif", *others):
        save(tmp_path / name, noise(name, (4, EDGE, EDGE)))
    save(tmp_path / "train-labels.tif", np.stack([blob()] * 4))
    candidate = find_only_candidate(tmp_path)
    assert (candidate.layout, candidate.n_pairs) == ("stacks", 4)
    assert candidate.options == {"images": "train-volume.tif", "masks": "train-labels.tif"}
    assert candidate.n_unused == len(others)


def test_folders_of_stacks(tmp_path):
    for name in ("a", "b"):
        save(tmp_path / f"raw/{name}.tif", noise(name, (3, EDGE, EDGE)))
        save(tmp_path / f"labels/{name}_seg.tiff", noise(name, (3, EDGE, EDGE)) // 200)
    candidate = find_only_candidate(tmp_path)
    assert (candidate.layout, candidate.n_pairs) == ("stacks", 6)
    assert (candidate.options["images"], candidate.options["masks"]) == ("raw", "labels")


@pytest.mark.parametrize(
    ("folder", "named"),
    [("images", "{}.jpg"), (".", "{}.jpg"), (".", "images/{}.jpg"), ("images/2017", "{}.jpg")],
)
def test_coco_wherever_its_names_start_from(tmp_path, folder, named):
    make(tmp_path, names(f"{folder}/{named}", *N))
    write_coco(tmp_path / "annotations/all.json", names(named, *N))
    write_json(tmp_path / "annotations/info.json", {"images": [], "annotations": []})
    candidate = find_only_candidate(tmp_path)
    assert candidate.options == {"annotations": "annotations/all.json", "images": folder}
    assert (candidate.n_pairs, candidate.n_unused) == (len(N), 0)
    assert draw_first(tmp_path, candidate, "cell").sum() == 16


@pytest.mark.parametrize(
    ("table", "folder"),
    [
        ("annotations/instances_{}2017.json", "{}2017"),
        ("{}/_annotations.coco.json", "{}"),
        ("data/{}.json", "data/images"),
    ],
)
def test_coco_with_a_table_for_each_split(tmp_path, table, folder):
    for split, first in (("train", 1), ("val", 11)):
        files = names("{}.jpg", *range(first, first + 3))
        make(tmp_path / folder.format(split), files)
        write_coco(tmp_path / table.format(split), files)
    candidate = find_only_candidate(tmp_path)
    assert (candidate.layout, candidate.n_pairs, candidate.n_unused) == ("coco", 6, 0)
    assert candidate.splits == {
        name: {"annotations": table.format(word), "images": folder.format(word)}
        for name, word in (("train", "train"), ("validation", "val"))
    }


def test_coco_tables_of_splits_with_equal_image_names_stay_apart(tmp_path):
    for split in ("train", "val"):
        make(tmp_path / split, names("{}.jpg", *N))
        write_coco(tmp_path / f"{split}.json", names("{}.jpg", *N))
    splits = find_only_candidate(tmp_path).splits
    assert {name: options["images"] for name, options in splits.items()} == {
        **{"train": "train", "validation": "val"}
    }


def test_coco_beside_masks_is_ambiguous(tmp_path):
    make(tmp_path, names("images/{}.png", *N), names("masks/{}.png", *N))
    write_coco(tmp_path / "coco.json", names("{}.png", *N))
    with pytest.raises(InputError, match="in 2 ways") as caught:
        detect_layout(tmp_path)
    assert "annotations: coco.json" in caught.value.problem
    assert "masks: masks" in caught.value.problem
    (coco,) = (r for r in find_candidates(tmp_path) if r.layout == "coco")
    assert coco.options["images"] == "images"


@pytest.mark.parametrize(
    ("header", "options"),
    [
        ("ImageId,EncodedPixels", {}),
        ("ImageId,ClassId,EncodedPixels", {"class_column": "ClassId"}),
        ("id,rle_mask", {"image_column": "id", "pixels_column": "rle_mask"}),
    ],
)
@pytest.mark.parametrize("ending", ["", ".png"])
def test_run_lengths(tmp_path, header, options, ending):
    make(tmp_path, [*names("train/{}.png", *N), *names("test/{}.png", 11, 12)])
    kind = "2," if "class_column" in options else ""
    rows = "\n".join(f"{n}{ending},{kind}1 3" for n in N)
    (tmp_path / "train.csv").write_text(f"{header}\n{rows}\n")
    (tmp_path / "sample_submission.csv").write_text(f"{header}\n11{ending},{kind}1 1\n")
    (tmp_path / "depths.csv").write_text("id,z\n1,2\n")
    candidate = find_only_candidate(tmp_path)
    assert candidate.layout == "rle"
    assert candidate.options == {"table": "train.csv", "images": "train", **options}
    assert (candidate.n_pairs, candidate.n_unused) == (len(N), 2)
    assert draw_first(tmp_path, candidate, "2").sum() == 3


def test_labelme_beside_its_images(tmp_path):
    make(tmp_path, names("{}.jpg", *N))
    for number in (1, 2):
        write_labelme(tmp_path / f"{number}.json", f"{number}.jpg")
    candidate = find_only_candidate(tmp_path)
    assert (candidate.layout, candidate.options) == ("labelme", {"annotations": "."})
    assert images_of(tmp_path, candidate) == ["1.jpg", "2.jpg"]
    assert candidate.n_unused == 0
    assert draw_first(tmp_path, candidate, "cell").any()


def test_labelme_in_a_folder_of_its_own(tmp_path):
    make(tmp_path, names("images/{}.jpg", *N))
    for number in N:
        write_labelme(tmp_path / f"json/{number}.json", rf"C:\Users\me\{number}.jpg")
    candidate = find_only_candidate(tmp_path)
    assert candidate.options == {"annotations": "json", "images": "images"}
    assert images_of(tmp_path, candidate) == names("images/{}.jpg", *N)


@pytest.mark.parametrize("folders", [("p1", "p2"), ("all/a", "all/b")])
def test_labelme_in_several_folders(tmp_path, folders):
    for folder in folders:
        make(tmp_path, names(f"{folder}/{{}}.jpg", *N))
        for number in N:
            write_labelme(tmp_path / f"{folder}/{number}.json", f"{number}.jpg")
    candidate = find_only_candidate(tmp_path)
    assert (candidate.layout, candidate.n_pairs, candidate.splits) == ("labelme", 6, None)


def test_labelme_in_a_folder_for_each_split(tmp_path):
    for split in ("train", "test"):
        make(tmp_path / split, names("{}.jpg", *N))
        for number in N:
            write_labelme(tmp_path / f"{split}/{number}.json", f"{number}.jpg")
    assert find_only_candidate(tmp_path).splits == {
        **{"train": {"annotations": "train"}, "test": {"annotations": "test"}}
    }


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", "{"),
        ("a.json", "[1, 2]"),
        ("a.json", '{"images": 3, "annotations": [], "categories": []}'),
        ("a.json", '{"images": [1, {}], "annotations": [], "categories": []}'),
        ("a.json", '{"images": [{"file_name": "1.png"}], "annotations": [{}], "categories": []}'),
        ("a.json", '{"shapes": [], "imagePath": "nowhere.png"}'),
        ("a.csv", "\xff\xfe\0"),
        ("a.csv", ""),
        ("a.csv", "ImageId,EncodedPixels\nnowhere,1 1\n"),
        ("a.csv", 'ImageId,EncodedPixels\n"1,1 1\n'),
    ],
)
def test_other_tables_are_ignored(tmp_path, name, content):
    make(tmp_path, names("images/{}.png", *N), names("masks/{}.png", *N))
    (tmp_path / name).write_text(content, encoding="latin-1")
    assert find_only_candidate(tmp_path).layout == "folders"


def test_a_very_large_table_is_not_opened(tmp_path, monkeypatch):
    make(tmp_path, names("{}.png", *N))
    write_coco(tmp_path / "a.json", names("{}.png", *N))
    monkeypatch.setattr(table_candidates, "_MAX_JSON_BYTES", (tmp_path / "a.json").stat().st_size)
    assert len(find_candidates(tmp_path)) == 1
    monkeypatch.setattr(table_candidates, "_MAX_JSON_BYTES", 10)
    assert find_candidates(tmp_path) == []
