"""Errors list all names without a class at once, so that one edit fixes them."""

import json

import pytest

from tests.support.images import touch_images
from unetflow.annotations.class_map import ClassMap
from unetflow.annotations.layouts.find_pairs import find_pairs
from unetflow.config.classes import ClassSpec
from unetflow.core.errors import DeclarationError

CLASS_MAP = ClassMap(
    (ClassSpec("background", (0,)), ClassSpec("cell", ("cell", "nucleus"))), ignore=("fog",)
)
NAMES = {"1": ["cell", "car", "car"], "2": ["bus", "car", "fog"], "3": ["nucleus"]}
SQUARE = [1, 1, 3, 1, 3, 3, 1, 3]


def write_coco(root):
    categories = sorted({name for names in NAMES.values() for name in names})
    listed = [(image, name) for image, names in NAMES.items() for name in names]
    annotations = [
        {
            "id": number,
            "image_id": image,
            "category_id": categories.index(name),
            "segmentation": [SQUARE],
        }
        for number, (image, name) in enumerate(listed)
    ]
    # What does not count needs no class: a crowd of trees is ignored.
    categories.append("tree")
    crowd = {"id": 99, "image_id": "1", "category_id": len(categories) - 1, "iscrowd": 1}
    content = {
        "images": [{"id": image, "file_name": f"{image}.png"} for image in NAMES],
        "annotations": [*annotations, {**crowd, "segmentation": [SQUARE]}],
        "categories": [{"id": number, "name": name} for number, name in enumerate(categories)],
    }
    (root / "a.json").write_text(json.dumps(content))
    return "coco", {"annotations": "a.json"}


def write_labelme(root):
    points = [SQUARE[i : i + 2] for i in range(0, len(SQUARE), 2)]
    for image, names in NAMES.items():
        shapes = [{"label": name, "points": points} for name in names]
        (root / f"{image}.json").write_text(
            json.dumps({"imagePath": f"{image}.png", "shapes": shapes})
        )
    return "labelme", {}


def write_rle(root):
    rows = [f"{image},1 2,{name}" for image, names in NAMES.items() for name in names]
    (root / "a.csv").write_text("\n".join(["ImageId,EncodedPixels,kind", *rows]))
    return "rle", {"table": "a.csv", "images": ".", "class_column": "kind"}


def draw(pair):
    return pair.annotation.draw((6, 6), CLASS_MAP, 36)


@pytest.fixture
def root(tmp_path):
    return touch_images(tmp_path, *(f"{image}.png" for image in NAMES))


@pytest.mark.parametrize("write", [write_coco, write_labelme, write_rle])
def test_every_error_lists_the_undeclared_names_of_all_images(root, write):
    pairs = find_pairs(root, *write(root)).pairs
    listed = {"1": "'car' (3), 'bus' (1)", "2": "'bus' (1), 'car' (3)"}
    for pair in pairs[:2]:
        with pytest.raises(DeclarationError) as caught:
            draw(pair)
        assert listed[pair.id] in caught.value.problem
        assert caught.value.problem.endswith("; these are: 'cell', 'nucleus', 'fog'")
        assert f"{pair.id}" in caught.value.where
    assert draw(pairs[2]).label.max() == 1


def test_the_images_of_all_splits_are_counted(root):
    layout, options = write_labelme(root)
    (root / "more").mkdir()
    for name in ("2.json", "2.png", "3.json", "3.png"):
        (root / name).rename(root / "more" / name)
    (root / "less").mkdir()
    for name in ("1.json", "1.png"):
        (root / name).rename(root / "less" / name)
    splits = {"train": {"annotations": "less"}, "test": {"annotations": "more"}}
    first = find_pairs(root, layout, options, splits).pairs[0]
    with pytest.raises(DeclarationError, match=r"'car' \(3\), 'bus' \(1\)"):
        draw(first)


def test_shared_name_counts_do_not_change_what_is_drawn(root):
    pairs = {pair.id: pair for pair in find_pairs(root, *write_labelme(root)).pairs}
    content = pairs["3"].annotation.content
    (root / "1.json").unlink()
    alone = {pair.id: pair for pair in find_pairs(root, "labelme", {}).pairs}
    assert alone["3"] == pairs["3"]
    assert hash(alone["3"]) == hash(pairs["3"])
    assert alone["3"].annotation.content == content
