import re
import shutil

import pytest
import yaml

from tests.support.file_trees import find_only_candidate, make, names, noise, pairs_of, save
from tests.support.images import touch_images
from unetflow.annotations.autodetect.detect_layout import (
    LayoutCandidate,
    detect_layout,
    find_candidates,
)
from unetflow.annotations.layouts.find_pairs import find_pairs
from unetflow.core.errors import InputError

N = range(1, 5)
SPLIT = [(split, n) for split in ("train", "val") for n in N]
CITIES = [
    (split, city, n)
    for split, city in (("train", "aachen"), ("train", "ulm"), ("val", "bonn"), ("val", "trier"))
    for n in N
]
CASES = [(kind, case, n) for kind, case in (("CS", 4941), ("DU", 5849), ("HT", 7473)) for n in N]
PATIENTS = [(patient, n) for patient in ("p1", "p2", "p10") for n in N]

# What lies where: images, their masks in the same order, and the splits that folders give.
LAYOUTS = {
    "two folders": (names("images/{}.png", *N), names("masks/{}.png", *N)),
    "other endings": (names("images/{}.jpg", *N), names("labels/{}.tif", *N)),
    "one pair": (["images/1.png"], ["masks/1.png"]),
    "one pair in one folder": (["a.png"], ["a_mask.png"]),
    "suffixes": (names("x/{}_img.png", *N), names("y/{}_lab.png", *N)),
    "a number alone": (
        names("images/{}_{}.png", (1, "dr"), (2, "h"), (3, "g")),
        names("masks/m{}.png", 1, 2, 3),
    ),
    "images above their masks": (names("{}.jpg", *N), names("masks/{}.png", *N)),
    "masks inside images": (names("data/{}.jpg", *N), names("data/masks/{}.png", *N)),
    "prefixes in one folder": (names("img_{}.png", *N), names("mask_{}.png", *N)),
    "endings in one folder": (names("{}.jpg", *N), names("{}.png", *N)),
    "ISIC": (
        names("ISIC2018_Task1-2_Training_Input/ISIC_{:07}.jpg", *N),
        names("ISIC2018_Task1_Training_GroundTruth/ISIC_{:07}_segmentation.png", *N),
    ),
    "Carvana": (
        names("train/{}_{:02}.jpg", ("0cdf5b5d0ce1", 1), ("00087a6bd4dc", 1), ("00087a6bd4dc", 2)),
        names(
            *("train_masks/{}_{:02}_mask.gif", ("0cdf5b5d0ce1", 1)),
            *(("00087a6bd4dc", 1), ("00087a6bd4dc", 2)),
        ),
    ),
    "CVC-ClinicDB": (names("Original/{}.tif", *N), names("Ground Truth/{}.tif", *N)),
    "Cellpose": (names("{:03}_img.png", *N), names("{:03}_masks.png", *N)),
    "Cellpose, own images": (names("im{}.tif", *N), names("im{}_masks.tif", *N)),
    "GlaS": (names("train_{}.bmp", *N), names("train_{}_anno.bmp", *N)),
    "Pascal VOC": (
        names("VOC2012/JPEGImages/2007_{:06}.jpg", *N),
        names("VOC2012/SegmentationClass/2007_{:06}.png", *N),
    ),
    "Oxford pets": (
        names("images/Abyssinian_{}.jpg", *N),
        names("annotations/trimaps/Abyssinian_{}.png", *N),
    ),
    "BBBC005": (
        names("BBBC005_v1_images/SIMC_A{:02}_w1.TIF", *N),
        names("BBBC005_v1_ground_truth/synthetic/SIMC_A{:02}_w1.TIF", *N),
    ),
    "MRI of gliomas": (
        names("kaggle_3m/TCGA_{0}_{1}/TCGA_{0}_{1}_{2}.tif", *CASES),
        names("kaggle_3m/TCGA_{0}_{1}/TCGA_{0}_{1}_{2}_mask.tif", *CASES),
    ),
    "TNBC": (
        names("Slide_{0:02}/{0:02}_{1}.png", *((s, n) for s in (1, 2, 10) for n in N)),
        names("GT_{0:02}/{0:02}_{1}.png", *((s, n) for s in (1, 2, 10) for n in N)),
    ),
    "PH2": (
        names("IMD{0:03}/IMD{0:03}_Dermoscopic_Image/IMD{0:03}.bmp", *N),
        names("IMD{0:03}/IMD{0:03}_lesion/IMD{0:03}_lesion.bmp", *N),
    ),
    "NuInsSeg": (
        names(
            "human {0}/tissue images/{0}_{1}.png", *((o, n) for o in ("brain", "liver") for n in N)
        ),
        names(
            "human {0}/mask binary/{0}_{1}.png", *((o, n) for o in ("brain", "liver") for n in N)
        ),
    ),
    "patients below": (names("images/{}/{}.png", *PATIENTS), names("masks/{}/{}.png", *PATIENTS)),
    "patients above": (names("{}/images/{}.png", *PATIENTS), names("{}/masks/{}.png", *PATIENTS)),
    "patients and flat masks": (
        names("images/{0}/{0}_{1}.png", *PATIENTS),
        names("masks/{0}_{1}.png", *PATIENTS),
    ),
    "one file of each for each patient": (
        names("{}/image.png", "ann", "bob", "eve"),
        names("{}/mask.png", "ann", "bob", "eve"),
    ),
}
SPLIT_LAYOUTS = {
    "split above": (names("{}/images/{}.png", *SPLIT), names("{}/masks/{}.png", *SPLIT)),
    "split below": (names("images/{}/{}.png", *SPLIT), names("masks/{}/{}.png", *SPLIT)),
    "split in the folders' names": (
        names("{}_images/{}.png", *SPLIT),
        names("{}_masks/{}.png", *SPLIT),
    ),
    "CamVid": (names("{}/0001_{}.png", *SPLIT), names("{}annot/0001_{}.png", *SPLIT)),
    "DeepCrack": (names("{0}_img/{0}{1}.jpg", *SPLIT), names("{0}_lab/{0}{1}.png", *SPLIT)),
    "Cellpose, split": (names("{}/im{}.png", *SPLIT), names("{}/im{}_masks.png", *SPLIT)),
    "Cityscapes": (
        names("leftImg8bit/{0}/{1}/{1}_{2:06}_000019_leftImg8bit.png", *CITIES),
        names("gtFine/{0}/{1}/{1}_{2:06}_000019_gtFine_labelIds.png", *CITIES),
    ),
    "patients, split above": (
        names("{}/{}/images/{}.png", *((s, *p) for s in ("train", "val") for p in PATIENTS)),
        names("{}/{}/masks/{}.png", *((s, *p) for s in ("train", "val") for p in PATIENTS)),
    ),
    "patients, split below": (
        names("{1}/{0}/images/{2}.png", *((s, *p) for s in ("train", "val") for p in PATIENTS)),
        names("{1}/{0}/masks/{2}.png", *((s, *p) for s in ("train", "val") for p in PATIENTS)),
    ),
}


def as_catalog(candidate, root):
    """Return what a person would copy out of the explanation."""
    lines = candidate.explain(root).splitlines()[1:]
    return yaml.safe_load("\n".join(lines))["raw_pairs"]


@pytest.mark.parametrize("name", [*LAYOUTS, *SPLIT_LAYOUTS])
def test_a_real_layout_is_detected(tmp_path, name):
    images, masks = (LAYOUTS | SPLIT_LAYOUTS)[name]
    root = make(tmp_path / "data", images, masks)
    candidate = find_only_candidate(root)
    assert pairs_of(root, candidate) == {i: [m] for i, m in zip(images, masks, strict=True)}
    assert candidate.n_unused == 0
    assert bool(candidate.splits) == (name in SPLIT_LAYOUTS)
    if candidate.splits:
        found = find_pairs(root, candidate.layout, candidate.options, candidate.splits).pairs
        assert {(p.split, "val" in str(p.image)) for p in found} == {
            *(("train", False), ("validation", True))
        }


@pytest.mark.parametrize("name", ["suffixes", "TNBC", "Cellpose, own images", "CamVid"])
def test_the_shown_catalog_entry_makes_the_same_pairs(tmp_path, name):
    root = make(tmp_path / "my data", *(LAYOUTS | SPLIT_LAYOUTS)[name])
    candidate = detect_layout(root)
    entry = as_catalog(candidate, root)
    assert entry.pop("type") == "unetflow.datasets.SourceDataset"
    assert entry.pop("path") == str(root)
    layout, splits = entry.pop("layout"), entry.pop("splits", None)
    assert find_pairs(root, layout, entry, splits) == find_pairs(
        root, candidate.layout, candidate.options, candidate.splits
    )


@pytest.mark.parametrize("name", ["other endings", "patients above", "Cellpose, own images"])
def test_the_layout_of_an_archive_equals_that_of_its_folder(tmp_path, name):
    make(tmp_path / "data", *LAYOUTS[name])
    shutil.make_archive(str(tmp_path / "data"), "zip", tmp_path / "data")
    in_archive, in_folder = (detect_layout(tmp_path / part) for part in ("data.zip", "data"))
    assert in_archive == in_folder


# Two candidates, none of which may be taken without asking.
AMBIGUOUS = {
    "CHASE": (
        names("Image_{:02}L.jpg", *N),
        [*names("Image_{:02}L_1stHO.png", *N), *names("Image_{:02}L_2ndHO.png", *N)],
        ["_1stHO", "_2ndHO"],
    ),
    "DRIVE": (
        names("images/{}_training.tif", *N),
        [*names("1st_manual/{}_manual1.gif", *N), *names("mask/{}_training_mask.gif", *N)],
        ["masks: 1st_manual", "masks: mask"],
    ),
    "VOC": (
        names("JPEGImages/{}.jpg", *N),
        [*names("SegmentationClass/{}.png", *N), *names("SegmentationObject/{}.png", *N)],
        ["masks: SegmentationClass", "masks: SegmentationObject"],
    ),
    "Cityscapes": (
        names("leftImg8bit/ulm/{}_leftImg8bit.png", *N),
        names("gtFine/ulm/{}_gtFine_{}.png", *((n, k) for n in N for k in ("color", "labelIds"))),
        ["_gtFine_color", "_gtFine_labelIds"],
    ),
    "semantic drones": (
        names("dataset/original_images/{:03}.jpg", *N),
        [*names("dataset/label_images/{:03}.png", *N), *names("RGB_masks/RGB/{:03}.png", *N)],
        ["masks: dataset/label_images", "masks: RGB_masks/RGB"],
    ),
    "superpixels": (
        names("Input/ISIC_{}.jpg", *N),
        [*names("Input/ISIC_{}_superpixels.png", *N), *names("Truth/ISIC_{}.png", *N)],
        ["_superpixels", "masks: Truth"],
    ),
    "two kinds of images": (
        [*names("rgb_images/{}.png", *N), *names("infrared_images/{}.png", *N)],
        names("masks/{}.png", *N),
        ["images: rgb_images", "images: infrared_images"],
    ),
    "two channels": (
        names("images/a{}_w{}.tif", *((n, w) for n in N for w in (1, 2))),
        names("labels/a{}.png", *N),
        ["_w1", "_w2"],
    ),
    "predictions": (
        names("images/{}.png", *N),
        [*names("masks/{}.png", *N), *names("predicted/{}.png", *N)],
        ["masks: masks", "masks: predicted"],
    ),
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_two_possible_layouts_are_shown_and_none_is_used(tmp_path, name):
    images, masks, shown = AMBIGUOUS[name]
    root = make(tmp_path, images, masks)
    with pytest.raises(InputError, match=r"it can be read in [23] ways:") as caught:
        detect_layout(root)
    for part in shown:
        assert part in caught.value.problem
    assert caught.value.fix == "Copy the intended one into conf/local/catalog.yml"
    for candidate in find_candidates(root):
        assert as_catalog(candidate, root)["masks"] == candidate.options["masks"]
        assert candidate.n_pairs == len(N)


def test_only_some_of_many_layouts_are_shown(tmp_path):
    make(
        tmp_path,
        names("images/{}.png", *N),
        names("masks_{}/{}.png", *((k, n) for k in "abcdefgh" for n in N)),
    )
    with pytest.raises(InputError, match="in 8 ways, of which these are 6:") as caught:
        detect_layout(tmp_path)
    assert caught.value.problem.count("raw_pairs:") == 6


def test_the_same_data_in_two_formats_are_two_candidates(tmp_path):
    for number in N:
        image, mask = noise(number, (64, 64)), (noise(number, (64, 64)) > 200) * noise(1, 1)
        for kind in ("png", "tif"):
            save(tmp_path / kind / "Original" / f"{number}.{kind}", image)
            save(tmp_path / kind / "Ground Truth" / f"{number}.{kind}", mask)
    candidates = find_candidates(tmp_path)
    assert sorted(candidate.options["images"] for candidate in candidates) == [
        *("png/Original", "tif/Original")
    ]


def test_images_without_masks_are_left_out(tmp_path):
    images = [*names("train_images/{}.png", *N), *names("test_images/{}.png", *N)]
    make(tmp_path, images, names("train_masks/{}.png", *N))
    candidate = find_only_candidate(tmp_path)
    assert candidate.options == {"images": "train_images", "masks": "train_masks"}
    assert (candidate.n_pairs, candidate.n_unused) == (len(N), len(N))
    assert f"{len(N)} annotated images, without {len(N)} other image files" in candidate.explain(
        tmp_path
    )


def test_without_masks_no_layout_is_detected_and_the_files_are_summarised(tmp_path):
    make(tmp_path, [*names("left/{}.png", *N), *names("left/x_{}.gif", 1, 2)])
    touch_images(tmp_path, "deep/x.czi", "README")
    with pytest.raises(InputError, match="no layout was detected in it") as caught:
        detect_layout(tmp_path)
    assert "it holds 4 .png in left, 2 .gif in left" in caught.value.problem
    assert "1 .czi in deep" in caught.value.problem
    assert caught.value.where == str(tmp_path)


@pytest.mark.parametrize(
    "others",
    [
        names("right/{}.png", *N),
        names("overlays/{}.png", *N),
        names("left/{}_thumbnail.png", *N),
        names("other/{}.png", 11, 12, 13),
    ],
)
def test_further_images_are_not_masks(tmp_path, others):
    assert find_candidates(make(tmp_path, [*names("left/{}.png", *N), *others])) == []


def test_empty_and_missing_folders_are_refused(tmp_path):
    with pytest.raises(InputError, match="it holds no file"):
        detect_layout(tmp_path)
    with pytest.raises(InputError, match="there is no such folder or archive"):
        detect_layout(tmp_path / "nowhere")


def test_explanation_states_how_to_keep_a_given_split(tmp_path):
    candidate = LayoutCandidate(
        "folders", {}, {"train": {"images": "a"}, "test": {"images": "b"}}, 7
    )
    lines = candidate.explain(tmp_path).splitlines()
    assert re.search(r"7 annotated images; .*strategy: given", lines[0])
    assert "&" not in "".join(lines)
    assert as_catalog(candidate, tmp_path)["splits"] == candidate.splits
