import shutil

import numpy as np
import pytest
from kedro.config import OmegaConfigLoader
from kedro.io import DataCatalog, DatasetError

from tests.support.file_trees import EDGE, make, names, noise, save
from tests.support.images import touch_images
from unetflow.annotations.layouts.find_pairs import find_pairs
from unetflow.core.errors import InputError
from unetflow.datasets.sources import (
    DemoPairsDataset,
    ImageFolderDataset,
    SourceDataset,
    SourceImagesDataset,
)

N = range(1, 4)


def ids(pairing):
    return [pair.id for pair in pairing.pairs]


def as_catalog(text, folder):
    """Read a catalog as `kedro run` does."""
    (folder / "conf/base").mkdir(parents=True)
    (folder / "conf/base/catalog.yml").write_text(text, encoding="utf-8")
    loader = OmegaConfigLoader(str(folder / "conf"), base_env="base", default_run_env="base")
    return DataCatalog.from_config(loader["catalog"])


@pytest.fixture
def two_folders(tmp_path):
    return make(tmp_path / "mine", names("images/{}.png", *N), names("masks/{}.png", *N))


@pytest.fixture
def objects(tmp_path):
    root = tmp_path / "objects"
    for number in (10, 9, 2):
        save(root / f"{number}/images/{number}.png", noise(number))
    return make(root, [], ["9/masks/1.png", "10/masks/1.png"])


def test_a_layout_and_its_options_come_from_the_catalog(tmp_path):
    make(tmp_path, names("a/{}_x.png", *N), names("b/{}_y.png", *N))
    options = {"images": "a", "masks": "b", "image_pattern": "(.+)_x", "mask_pattern": "(.+)_y"}
    dataset = SourceDataset(path=str(tmp_path), layout="folders", **options)
    assert dataset.exists()
    assert dataset.load() == find_pairs(tmp_path, "folders", options)
    assert ids(dataset.load()) == ["1_x", "2_x", "3_x"]


CASES = [(patient, n) for patient in ("p1", "p2") for n in N]
HALVES = [(split, n) for split in ("train", "val") for n in N]
LAYOUTS = [
    (names("images/{}.png", *N), names("masks/{}.png", *N)),
    (names("{}/images/{}.png", *CASES), names("{}/masks/{}.png", *CASES)),
    (names("my data/im$({}).tif", *N), names("my data/im$({})_masks.tif", *N)),
    (names("{0}/{0} {1}.jpg", *HALVES), names("{0}_gt/{0} {1}.bmp", *HALVES)),
]


@pytest.mark.parametrize(("images", "masks"), LAYOUTS)
def test_the_detected_layout_is_shown_as_a_catalog_entry_that_works(tmp_path, images, masks):
    root = make(tmp_path / "mine", images, masks)
    pairing = SourceDataset(path=str(root)).load()
    explanation = pairing.detected_layout
    assert explanation.startswith(f"'folders' with {len(images)} annotated images")
    assert len(pairing.pairs) == len(images)
    pinned = as_catalog(explanation.partition("\n")[2], tmp_path).load("raw_pairs")
    assert (pinned.pairs, pinned.refused) == (pairing.pairs, pairing.refused)
    assert pinned.detected_layout == ""


def test_what_can_be_read_in_two_ways_is_not_loaded(two_folders):
    make(two_folders, [], names("labels/{}.png", *N))
    with pytest.raises(DatasetError, match="it can be read in 2 ways") as caught:
        SourceDataset(path=str(two_folders)).load()
    assert "masks: labels" in str(caught.value)


@pytest.mark.parametrize(
    "options", [{"images": "images"}, {"splits": {"train": {"images": "images"}}}]
)
def test_options_without_a_layout_are_refused(two_folders, options):
    with pytest.raises(DatasetError, match=r"options without a layout. Add `layout:`"):
        SourceDataset(path=str(two_folders), **options).load()


def test_wrong_options_are_refused_when_they_are_used(two_folders):
    dataset = SourceDataset(path=str(two_folders), layout="folders", maks="masks")
    with pytest.raises(DatasetError, match="Did you mean 'masks'"):
        dataset.load()


def test_splits_of_folders_and_of_a_table(tmp_path):
    touch_images(tmp_path, "a/1.png", "a/2.png", "am/1.png", "am/2.png", "b/1.png", "bm/1.png")
    (tmp_path / "t.csv").write_text("image,who\ntrain/1,ann\ntrain/2,bob\nvalidation/1,ann\n")
    dataset = SourceDataset(
        path=str(tmp_path),
        layout="folders",
        splits={"train": {"images": "a", "masks": "am"}, "val": {"images": "b", "masks": "bm"}},
        split_table={"file": "t.csv", "id": "image", "group": "who"},
    )
    assert [(p.id, p.split, p.group) for p in dataset.load().pairs] == [
        ("train/1", "train", "ann"),
        ("train/2", "train", "bob"),
        ("validation/1", "validation", "ann"),
    ]


def test_a_split_table_works_with_a_detected_layout(two_folders):
    (two_folders / "t.csv").write_text("id,side\n1,train\n2,test\n")
    table = {"file": "t.csv", "split": "side"}
    pairing = SourceDataset(path=str(two_folders), split_table=table).load()
    assert [(pair.id, pair.split) for pair in pairing.pairs] == [("1", "train"), ("2", "test")]
    assert [error.where for error in pairing.refused] == [str(two_folders / "images/3.png")]


@pytest.mark.parametrize("kind", [SourceDataset, SourceImagesDataset])
def test_the_files_of_the_user_are_only_read(two_folders, kind):
    with pytest.raises(DatasetError, match="is only read"):
        kind(path=str(two_folders)).save({})


def test_a_place_that_is_not_there_does_not_exist(tmp_path):
    dataset = SourceDataset(path=str(tmp_path / "nowhere"), layout="folders")
    assert not dataset.exists()
    with pytest.raises(DatasetError, match="there is no such folder or archive"):
        dataset.load()


def test_a_dataset_shows_where_it_reads(two_folders):
    shown = str(SourceDataset(path=str(two_folders), layout="folders", masks="masks"))
    assert f"path='{two_folders}'" in shown
    assert "masks='masks'" in shown


@pytest.mark.parametrize(
    ("unlabelled", "expected"),
    [(False, ["2", "9", "10"]), (True, ["2"])],
    ids=["all", "unlabelled"],
)
@pytest.mark.parametrize("packed", [False, True])
def test_images_alone(objects, unlabelled, expected, packed):
    root = shutil.make_archive(str(objects), "zip", objects) if packed else objects
    dataset = SourceImagesDataset(path=str(root), layout="objects", unlabelled=unlabelled)
    images = dataset.load()
    assert list(images) == expected
    for name, image in images.items():
        np.testing.assert_array_equal(image.read(), noise(int(name))[:, :, np.newaxis])


def test_images_of_other_data_may_be_taken_instead(objects, two_folders):
    dataset = SourceImagesDataset(
        path=str(objects), layout="objects", unlabelled=True, instead=str(two_folders / "images")
    )
    assert list(dataset.load()) == ["1", "2", "3"]


def test_pages_of_a_stack_are_images_of_their_own(tmp_path):
    pages = np.stack([noise(number) for number in range(3)])
    save(tmp_path / "volume.tif", pages)
    save(tmp_path / "labels.tif", pages // 200)
    options = {"layout": "stacks", "images": "volume.tif", "masks": "labels.tif"}
    images = SourceImagesDataset(path=str(tmp_path), **options).load()
    assert list(images) == ["volume/000", "volume/001", "volume/002"]
    np.testing.assert_array_equal(images["volume/002"].read()[:, :, 0], pages[2])


def test_the_layout_of_images_is_detected(two_folders):
    assert list(SourceImagesDataset(path=str(two_folders)).load()) == ["1", "2", "3"]


@pytest.mark.parametrize("instead", [False, True])
def test_an_image_above_the_limit_is_refused_when_it_is_read(two_folders, instead):
    dataset = SourceImagesDataset(
        path=str(two_folders),
        layout="folders",
        max_pixels=EDGE**2 - 1,
        instead=str(two_folders / "images") if instead else None,
    )
    images = dataset.load()
    with pytest.raises(ValueError, match=f"are more than the allowed {EDGE**2 - 1}"):
        images["1"].read()


def test_what_a_folder_of_images_leaves_out_is_said(two_folders, caplog):
    outside = make(two_folders.parent, ["secret.png"]) / "secret.png"
    (two_folders / "images/link.png").symlink_to(outside)
    images = ImageFolderDataset(path=str(two_folders / "images")).load()
    assert list(images) == ["1", "2", "3"]
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    assert "it is a symbolic link that leaves" in caplog.records[0].message


WRONG = [3, 2.5, None, True, ["a"], {"a": 1}, {3: 4}, [], {}]


def refuse(kind, entry):
    """Use an entry of the catalog as a run does, and return what it is refused with, or None."""
    try:
        kind(**entry).load()
    except (InputError, DatasetError) as error:
        return error.__cause__ or error
    return None


@pytest.mark.parametrize("key", ["path", "layout", "splits", "split_table", "download"])
@pytest.mark.parametrize("kind", [SourceDataset, SourceImagesDataset])
def test_a_value_of_another_kind_is_refused_with_its_option(two_folders, kind, key):
    entry = {"path": str(two_folders), "layout": "folders"}
    for value in WRONG:
        error = refuse(kind, {**entry, key: value})
        if error is None:
            assert value is None or (key, value) == ("splits", {})
        else:
            assert isinstance(error, InputError)
            assert key in f"{error.where} {error.problem}"


@pytest.mark.parametrize(
    ("kind", "key", "right"),
    [
        (SourceImagesDataset, "unlabelled", bool),
        (SourceImagesDataset, "max_pixels", (int, float)),
        (SourceImagesDataset, "instead", type(None)),
        *((DemoPairsDataset, key, int) for key in ("count", "size", "seed")),
    ],
)
def test_a_number_or_a_switch_of_another_kind_is_refused(two_folders, kind, key, right):
    for value in (*WRONG, b"a"):
        if not isinstance(value, right) or (value is True and right is not bool):
            with pytest.raises(InputError, match="is not") as caught:
                kind(**{"path": str(two_folders), key: value})
            assert caught.value.where == key


def test_what_is_wrong_in_a_catalog_is_said_without_a_traceback(two_folders, tmp_path):
    for number, lines in enumerate(["path: 2018", "path:", "path: [a]"]):
        text = f"raw_pairs:\n  type: unetflow.datasets.SourceDataset\n  {lines}\n"
        (tmp_path / str(number)).mkdir()
        catalog = as_catalog(text, tmp_path / str(number))
        with pytest.raises(DatasetError, match=r"path: .* is not the path of a folder") as caught:
            catalog.load("raw_pairs")
        assert isinstance(caught.value.__cause__, InputError)
