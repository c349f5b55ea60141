"""Masks whose values number the objects, and masks that only look like it."""

import dataclasses
import logging

import numpy as np
import pytest
import tifffile
import yaml
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage.measure import label as connected_components

from tests.support.images import random_pixels
from unetflow.annotations.autodetect.object_numbers import (
    ValuePieces,
    judge_values,
    measure_values,
    number_objects,
)
from unetflow.annotations.class_map import ClassMap
from unetflow.annotations.layouts.find_pairs import find_pairs
from unetflow.annotations.raster import InstanceMask, SemanticMask, is_in_pieces
from unetflow.config.classes import Classes, ClassSpec
from unetflow.config.ingestion import IngestionParameters, MaskParameters
from unetflow.core.errors import DeclarationError, InputError
from unetflow.core.hashing import generator_for
from unetflow.data.samples import SampleFolder
from unetflow.data.synthetic import draw_nuclei
from unetflow.pipelines.ingestion import build_samples

REST = ClassMap((ClassSpec("background", (0,)), ClassSpec("cell", None)))
MANY = 10**7


def numbered(objects, edge=5, first=1, columns=8):
    """Return squares that touch in pairs, numbered row by row."""
    rows = -(-objects // columns)
    mask = np.zeros((rows * (edge + 1), columns * (edge + 1)), np.int64)
    for number in range(objects):
        top, left = (edge + 1) * (number // columns), (edge + 1) * (number % columns)
        mask[top : top + edge, left : left + edge + number % 2] = first + number
    return mask


def save(path, mask):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tif":
        tifffile.imwrite(path, mask)
    else:
        Image.fromarray(mask).save(path)


def folder_of(root, masks, suffix=".tif", dtype=np.uint16):
    for number, mask in enumerate(masks):
        save(root / "images" / f"{number}.png", random_pixels(mask.shape, seed=number))
        save(root / "masks" / f"{number}{suffix}", mask.astype(dtype))
    return find_pairs(root, "folders", {})


def is_numbered(pairing, class_map=REST, instances=None):
    found, message = number_objects(pairing, class_map, instances, MANY)
    kinds = {isinstance(pair.annotation, InstanceMask) for pair in found.pairs}
    assert len(kinds) == 1
    return kinds == {True}, message


def pinned(message):
    return yaml.safe_load(message[message.index("\n") :])


@pytest.mark.parametrize(
    ("suffix", "dtype"),
    [
        (".tif", np.uint8),
        (".tif", np.uint16),
        (".tif", np.uint32),
        (".tif", np.int32),
        (".png", np.uint8),
        (".png", np.uint16),
        (".bmp", np.uint8),
    ],
)
def test_masks_that_number_objects_are_recognised_in_every_format(tmp_path, suffix, dtype):
    masks = [numbered(number) for number in (9, 12, 17)]
    found, message = is_numbered(folder_of(tmp_path, masks, suffix, dtype))
    assert found
    assert "up to 17 in the 3 masks" in message
    assert pinned(message) == {"ingestion": {"masks": {"instances": True}}}


def test_a_mask_of_many_objects_is_enough(tmp_path):
    assert is_numbered(folder_of(tmp_path, [numbered(40)]))[0]


def test_numbers_may_begin_anywhere_and_objects_may_be_cut_or_have_holes():
    mask = numbered(40, edge=7, first=900)
    mask[3] = 0  # a fold cuts one row of objects in two
    mask[10:12, 2:4] = 0
    seen = measure_values(mask, REST)
    assert (seen.values, seen.span) == (40, 40)
    assert seen.whole == 32
    assert not judge_values([seen])[0]  # of so few, 8 are too many
    larger = numbered(400, edge=7)
    larger[3] = 0
    assert judge_values([measure_values(larger, REST)])[0]


def test_the_demo_is_recognised():
    seen = [
        measure_values(draw_nuclei(256, generator_for("demo", 42, n)).instances, REST)
        for n in range(4)
    ]
    assert judge_values(seen)[0]


def classes_in_pieces(seed, values=12):
    coarse = np.random.default_rng(seed).integers(0, values, (12, 12))
    return np.kron(coarse, np.ones((4, 4), int))


def soft_disc(spread):
    rows, columns = np.mgrid[:200, :200]
    disc = (np.hypot(rows - 100, columns - 100) < 60) * 255.0
    return gaussian_filter(disc, spread).round().astype(int)


def jpeg_like(seed):
    noise = np.random.default_rng(seed).normal(0, 6, (80, 80))
    return np.clip(
        classes_in_pieces(seed, 2).repeat(2, 0).repeat(2, 1)[:80, :80] * 255 + noise, 0, 255
    )


@pytest.mark.parametrize(
    "masks",
    [
        [numbered(20) > 0],
        [(numbered(20) > 0) * 255],
        [classes_in_pieces(n) for n in range(4)],
        [numbered(5) * 50, numbered(4) * 50],
        [soft_disc(1), soft_disc(5)],
        [soft_disc(20)],
        [jpeg_like(n) for n in range(3)],
        [np.zeros((9, 9))],
    ],
    ids=["true", "binary", "classes", "gaps", "soft", "gradation", "jpeg", "empty"],
)
def test_masks_of_classes_and_gradations_of_grey_are_not_taken_for_numbers(tmp_path, masks):
    assert is_numbered(folder_of(tmp_path, masks)) == (False, "")


def test_a_few_values_that_are_one_piece_in_each_mask_are_doubtful_and_said_to_be(tmp_path):
    organs = [numbered(4), numbered(4)]
    found, message = is_numbered(folder_of(tmp_path, organs))
    assert not found
    assert "may number the objects" in message
    assert is_numbered(folder_of(tmp_path, organs), instances=False) == (False, "")
    assert is_numbered(folder_of(tmp_path, organs), instances=True) == (True, "")


@pytest.mark.parametrize(
    "class_map",
    [
        ClassMap((ClassSpec("background", (0,)), ClassSpec("cell", tuple(range(1, 30))))),
        ClassMap((ClassSpec("background", None), ClassSpec("cell", (1,)))),
        ClassMap((*REST.classes, ClassSpec("rim", (3,)))),
        dataclasses.replace(REST, binarise_at=2),
    ],
)
def test_what_the_parameters_declare_wins(tmp_path, class_map):
    masks = [numbered(number) for number in (9, 12, 17)]
    assert is_numbered(folder_of(tmp_path, masks), class_map) == (False, "")


def test_ignored_and_background_values_are_no_objects(tmp_path):
    class_map = ClassMap((ClassSpec("background", (0, 3)), ClassSpec("cell", None)), ignore=(2,))
    mask = np.array([[1, 2, 3, 4, 0, 4]])
    pairing = folder_of(tmp_path, [mask])
    pairing, _ = number_objects(pairing, class_map, True, MANY)
    drawn = pairing.pairs[0].annotation.draw(mask.shape, class_map, MANY)
    assert drawn.label.tolist() == [[1, 255, 0, 1, 0, 1]]
    assert drawn.instances.tolist() == [[1, 0, 0, 2, 0, 2]]
    assert measure_values(mask, class_map).values == 2


@pytest.mark.parametrize("first", [1, 2**25])
def test_more_than_65535_objects_keep_their_numbers(tmp_path, first):
    mask = np.zeros((520, 520), np.uint32)
    mask[::2, ::2] = np.arange(first, first + 260 * 260).reshape(260, 260)
    pairing, _ = number_objects(folder_of(tmp_path, [mask], dtype=np.uint32), REST, True, MANY)
    drawn = pairing.pairs[0].annotation.draw(mask.shape, REST, MANY)
    assert drawn.instances.dtype == np.uint32
    np.testing.assert_array_equal(drawn.instances[::2, ::2].ravel(), np.arange(260 * 260) + 1)


def test_the_catalog_may_say_so_for_folders_as_for_stacks(tmp_path):
    folder_of(tmp_path, [numbered(3)])
    (pair,) = find_pairs(tmp_path, "folders", {"instances": True}).pairs
    assert pair.annotation.draw(numbered(3).shape, REST, MANY).instances.max() == 3


def test_pages_of_stacks_are_recognised_like_files(tmp_path):
    pages = np.stack([numbered(n, columns=9)[:12] for n in (18, 12, 10)]).astype(np.uint16)
    for name in ("images", "masks"):
        metadata = {"axes": "ZYX"}
        tifffile.imwrite(
            tmp_path / f"{name}.tif", pages, photometric="minisblack", metadata=metadata
        )
    options = {"images": "images.tif", "masks": "masks.tif"}
    assert is_numbered(find_pairs(tmp_path, "stacks", options))[0]


def test_unreadable_masks_do_not_stop_the_recognition(tmp_path):
    pairing = folder_of(tmp_path, [numbered(9), numbered(12), numbered(40)])
    (tmp_path / "masks/1.tif").write_bytes(b"no image")
    found, message = is_numbered(pairing)
    assert found
    assert "the 2 masks" in message


def test_samples_keep_the_numbers_and_the_run_says_so(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    pairing = folder_of(tmp_path / "raw", [numbered(n) for n in (9, 12, 17)])
    folder = tmp_path / "samples"
    folder.mkdir()
    classes = Classes(REST.classes)
    samples = build_samples(pairing, SampleFolder(folder), classes, IngestionParameters())
    assert "number the objects" in samples.detected_objects
    assert samples.descriptions["1"]["objects"] == 12
    assert samples.instances("1").max() == 12
    assert set(np.unique(samples["1"].label)) == {0, 1}
    declared = IngestionParameters(masks=MaskParameters(instances=False))
    again = build_samples(pairing, samples, classes, declared)
    assert again.detected_objects == ""
    assert again.instances("1") is None


PLAIN = (numbered(15) > 0) * 255
MIX = [numbered(9), numbered(12), PLAIN, numbered(17), (numbered(1) > 0) * 255, PLAIN * 0]


@pytest.mark.parametrize("given", [None, "mixed"])
@pytest.mark.parametrize("values", [None, (255,)])
def test_corrected_masks_keep_their_numbers_among_plain_ones(tmp_path, caplog, given, values):
    caplog.set_level(logging.INFO)
    classes = Classes((ClassSpec("background", (0,)), ClassSpec("cell", values)))
    pairing = folder_of(tmp_path / "raw", MIX)
    folder = tmp_path / "samples"
    folder.mkdir()
    parameters = IngestionParameters(masks=MaskParameters(instances=given))
    samples = build_samples(pairing, SampleFolder(folder), classes, parameters)
    if given is None and values:  # what the parameters declare wins
        assert len(samples.refused) == 3
        assert "`mixed`" in samples.refused[0].fix
        return
    known = [(d["has_instances"], d["objects"]) for d in samples.descriptions.values()]
    # Of plain masks the pieces are counted; a single one may be several objects.
    pieces = connected_components(PLAIN, connectivity=2).max()
    assert known == [(True, 9), (True, 12), (False, pieces), (True, 17), (False, 1), (True, 0)]
    for name in samples:
        np.testing.assert_array_equal(samples[name].label, MIX[int(name)] > 0)
    if given is None:
        assert "of 4 of 6 masks number the objects" in samples.detected_objects
        assert pinned(samples.detected_objects)["ingestion"]["masks"]["instances"] == "mixed"
    else:
        assert samples.detected_objects == ""
        assert "4 of 6 masks number their objects" in caplog.text


def test_a_few_corrected_masks_among_plain_ones_are_doubtful_and_the_right_value_is_offered(
    tmp_path,
):
    found, message = is_numbered(folder_of(tmp_path, [numbered(5), PLAIN, PLAIN, numbered(4)]))
    assert not found
    assert "Write `mixed` to keep the numbers" in message
    assert pinned(message)["ingestion"]["masks"]["instances"] == "mixed"


def test_true_numbers_an_object_in_several_pieces(tmp_path):
    pairing, _ = number_objects(folder_of(tmp_path, [PLAIN]), REST, True, MANY)
    assert pairing.pairs[0].annotation.draw(PLAIN.shape, REST, MANY).instances.max() == 1
    pairing, _ = number_objects(pairing, REST, "mixed", MANY)  # the catalog has said `true`
    assert pairing.pairs[0].annotation.draw(PLAIN.shape, REST, MANY).instances.max() == 1


@pytest.mark.parametrize("instances", [None, True])
def test_a_plain_mask_that_was_not_opened_is_warned_about(tmp_path, caplog, instances):
    masks = [numbered(9 + number) for number in range(14)]
    masks[3] = PLAIN  # one of two that lie between those that are opened
    folder = tmp_path / "samples"
    folder.mkdir()
    pairing = folder_of(tmp_path / "raw", masks)
    samples = build_samples(
        pairing,
        SampleFolder(folder),
        Classes(REST.classes),
        IngestionParameters(masks=MaskParameters(instances=instances)),
    )
    assert samples.descriptions["3"]["objects"] == 1
    (message,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert "one object in several pieces" in message
    assert "3.tif" in message
    assert "`ingestion.masks.instances: mixed`" in message


def test_masks_of_single_objects_in_several_pieces_are_not_doubted(tmp_path, caplog):
    folder = tmp_path / "samples"
    folder.mkdir()
    parameters = IngestionParameters(masks=MaskParameters(instances=True))
    pairing = folder_of(tmp_path / "raw", [PLAIN, PLAIN])
    build_samples(pairing, SampleFolder(folder), Classes(REST.classes), parameters)
    assert "several pieces" not in caplog.text


@pytest.mark.parametrize(("crumbs", "expected"), [(1, False), (2, True)])
def test_crumbs_make_no_pieces(crumbs, expected):
    numbers = np.zeros((9, 9), np.uint16)
    numbers[:3, :3] = 1  # 9 of 10 pixels are nearly all, 9 of 11 are not
    numbers[8, : 2 * crumbs : 2] = 1
    assert is_in_pieces(numbers) == expected


def test_an_error_about_many_undeclared_numbers_names_the_parameter(tmp_path):
    class_map = ClassMap((ClassSpec("background", (0,)), ClassSpec("cell", (255,))))
    annotation = folder_of(tmp_path, [numbered(20)]).pairs[0].annotation
    assert isinstance(annotation, SemanticMask)
    with pytest.raises(DeclarationError, match=r"ingestion\.masks\.instances: true"):
        annotation.draw(numbered(20).shape, class_map, MANY)


def test_a_negative_number_is_refused(tmp_path):
    pairing = folder_of(tmp_path, [numbered(20) - 1], dtype=np.int32)
    pairing, _ = number_objects(pairing, REST, True, MANY)
    with pytest.raises(InputError, match="below 0"):
        pairing.pairs[0].annotation.draw(numbered(20).shape, REST, MANY)


def test_values_are_measured_by_hand():
    mask = np.array([[1, 1, 0, 3], [0, 0, 0, 0], [1, 0, 5, 5]])
    assert measure_values(mask, REST) == ValuePieces(values=3, span=5, whole=2)
