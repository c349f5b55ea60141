import shutil

import numpy as np
import pytest
import tifffile

from unetflow.annotations.class_map import ClassMap
from unetflow.annotations.layouts.object_masks import find_cell_tracking
from unetflow.annotations.raster import InstanceMask, SourceImage
from unetflow.config.classes import ClassSpec
from unetflow.core.errors import InputError
from unetflow.io.file_listing import list_files
from unetflow.io.formats.readers import read_image

CLASS_MAP = ClassMap((ClassSpec("background", (0,)), ClassSpec("cell", (1,))))


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def find(root, **options):
    return find_cell_tracking(list_files(root), **options)


def ids(pairing):
    return [pair.id for pair in pairing.pairs]


def only_error(pairing):
    (error,) = pairing.refused
    return error


@pytest.fixture
def data_set(tmp_path):
    return touch(
        tmp_path,
        *(f"{sequence}/t{number:03}.tif" for sequence in ("01", "02") for number in range(3)),
        "01_GT/SEG/man_seg000.tif",
        "01_GT/SEG/man_seg002.tif",
        "01_GT/TRA/man_track000.tif",
        "01_GT/TRA/man_track.txt",
        "01_ST/SEG/man_seg001.tif",
        "01_ERR_SEG/mask000.tif",
        "02_GT/SEG/man_seg001.tif",
        "README.txt",
    )


def test_labelled_frames_are_pairs_and_their_sequence_is_the_group(data_set):
    pairing = find(data_set)
    assert pairing.refused == []
    assert [(pair.id, pair.group) for pair in pairing.pairs] == [
        ("01/t000", "01"),
        ("01/t002", "01"),
        ("02/t001", "02"),
    ]
    assert pairing.pairs[1].image == SourceImage(data_set / "01/t002.tif")
    label = SourceImage(data_set / "01_GT/SEG/man_seg002.tif")
    assert pairing.pairs[1].annotation == InstanceMask(label)


def test_frames_without_label_are_unlabelled(data_set):
    unlabelled = find(data_set).unlabelled
    assert list(unlabelled) == ["01/t001", "02/t000", "02/t002"]
    assert unlabelled["01/t001"] == SourceImage(data_set / "01/t001.tif")


def test_silver_truth_is_used_on_request(data_set):
    pairing = find(data_set, truth="ST")
    assert ids(pairing) == ["01/t001"]
    assert pairing.pairs[0].annotation.files == (data_set / "01_ST/SEG/man_seg001.tif",)


@pytest.mark.parametrize("truth", ["gt", "TRA", ""])
def test_another_truth_is_refused(data_set, truth):
    with pytest.raises(InputError, match=f"truth: '{truth}' is not one of GT, ST"):
        find(data_set, truth=truth)


@pytest.mark.parametrize("top", [".", "Fluo-N2DH-SIM+", "2023"])
@pytest.mark.parametrize("packed", [False, True])
def test_images_and_objects_are_those_that_were_written(tmp_path, packed, top):
    root = tmp_path / "data"
    touch(root / top, "01/t0000.tif", "01_GT/SEG/man_seg0000.tif")
    frame = np.arange(20, dtype=np.uint16).reshape(4, 5) * 999
    objects = np.zeros((4, 5), np.uint16)
    objects[:2, :2], objects[3, 3:] = 40_000, 7
    tifffile.imwrite(root / top / "01/t0000.tif", frame)
    tifffile.imwrite(root / top / "01_GT/SEG/man_seg0000.tif", objects)
    if packed:
        root = type(tmp_path)(shutil.make_archive(str(tmp_path / "packed"), "zip", root))
    pairing = find(root)
    assert ids(pairing) == ["01/t0000"]
    pair = pairing.pairs[0]
    np.testing.assert_array_equal(read_image(pair.image.file)[:, :, 0], frame)
    drawn = pair.annotation.draw((4, 5), CLASS_MAP, 10**6)
    np.testing.assert_array_equal(drawn.label, objects > 0)
    np.testing.assert_array_equal(drawn.instances, np.select([objects == 7, objects > 7], [1, 2]))


def test_numbers_may_have_another_width_in_labels_than_in_frames(tmp_path):
    touch(tmp_path, "01/t1000.tif", "01/t002.tif", "01_GT/SEG/man_seg0002.tif")
    pairing = find(tmp_path)
    assert ids(pairing) == ["01/t002"]
    assert list(pairing.unlabelled) == ["01/t1000"]


def test_a_repeated_frame_number_is_refused(tmp_path):
    touch(tmp_path, "01/t002.tif", "01/t0002.tif")
    pairing = find(tmp_path)
    assert len(pairing.unlabelled) == 1
    assert "has the same number" in only_error(pairing).problem


def test_a_label_without_frame_is_refused(data_set):
    (data_set / "01/t002.tif").unlink()
    error = only_error(find(data_set))
    assert error.where == str(data_set / "01_GT/SEG/man_seg002.tif")
    assert error.problem == "there is no frame 2 in the sequence 01"


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("01/t03.tif", "t000.tif"),
        ("01/t003.png", "t000.tif"),
        ("01/frame003.tif", "t000.tif"),
        ("01_GT/SEG/man_seg3.tif", "man_seg000.tif"),
        ("01_GT/SEG/mask003.tif", "man_seg000.tif"),
    ],
)
def test_a_name_that_does_not_fit_is_refused(data_set, name, form):
    touch(data_set, name, "01/notes.txt")
    error = only_error(find(data_set))
    assert error.where == str(data_set / name)
    assert error.problem == f"its name is not of the form {form}"


def test_labels_of_single_slices_are_refused_with_a_fix(data_set):
    touch(data_set, "02_GT/SEG/man_seg_000_003.tif")
    pairing = find(data_set)
    error = only_error(pairing)
    assert error.where == str(data_set / "02_GT/SEG/man_seg_000_003.tif")
    assert "3D frames are not supported" in error.problem
    assert "the layout `stacks`" in error.fix
    assert not any(name.startswith("02") for name in pairing.unlabelled), "its frames are 3D too"
    assert ids(pairing) == ["01/t000", "01/t002", "02/t001"]


@pytest.mark.parametrize(
    "names",
    [
        ("images/t000.tif", "masks/t000.tif"),
        ("a/01/t000.tif", "b/01/t000.tif"),
        ("01_GT/SEG/man_seg000.tif",),
    ],
)
def test_a_folder_without_sequences_is_refused_with_an_example(tmp_path, names):
    with pytest.raises(InputError, match=r"there is no sequence of frames, such as 01/t000\.tif"):
        find(touch(tmp_path, *names))
