"""The stage `ingestion` as a whole: what it detects, remembers, reports and refuses.

Where neither the report nor what a run prints matters, it runs without a session of Kedro.
"""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import yaml
from click.testing import Result
from PIL import Image

from tests.conftest import TINY, kedro_run
from tests.support.ingestion_stage import Outcome, run_ingestion
from unetflow.core.hashing import generator_for
from unetflow.data.synthetic import draw_nuclei

UNDESCRIBED = {"type": "unetflow.datasets.SourceDataset", "path": "mine"}
FOLDERS = UNDESCRIBED | {"layout": "folders"}


def write_pair(folder: Path, name: str, seed: int) -> None:
    """Write a made-up image as 8-bit grey and its mask."""
    demo = draw_nuclei(64, generator_for("test", seed))
    image = (demo.image // 256).astype(np.uint8)
    for kind, pixels in (("images", image), ("masks", (demo.instances > 0) * np.uint8(255))):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / kind / f"{name}.png")


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """Return a user's folder with twelve pairs."""
    for number in range(12):
        write_pair(tmp_path / "mine", f"p{number // 2}_{number}", number)
    return tmp_path / "mine"


@pytest.fixture
def with_project(project: Path, mine: Path) -> Path:
    """Return the same folder in a project, for `kedro run`."""
    assert mine.parent == project
    return mine


def ingest(mine: Path, params: str = "", entry: dict | None = None, **sections) -> Outcome:
    return run_ingestion(mine.parent, entry or FOLDERS, f"seed=1,{params}", **sections)


def ingest_by_command(mine: Path, params: str = "seed=1", entry: dict | None = None) -> Result:
    catalog = yaml.safe_dump({"raw_pairs": entry or FOLDERS})
    (mine.parent / "conf/local/catalog.yml").write_text(catalog)
    return kedro_run(mine.parent, "--pipelines", "ingestion", "--params", params)


def manifest_of(mine: Path) -> pd.DataFrame:
    return pd.read_parquet(mine.parent / "data/03_primary/manifest.parquet")


def report_of(mine: Path) -> str:
    return (mine.parent / "data/08_reporting/data_report.html").read_text(encoding="utf-8")


def test_an_undescribed_folder_is_detected_and_the_printed_lines_fix_its_layout(with_project):
    mine = with_project
    result = ingest_by_command(mine, entry=UNDESCRIBED)
    assert result.exit_code == 0
    before = manifest_of(mine)
    assert len(before) == 12
    explained = result.output.partition("Detected layout: 'folders' with 12 annotated")[2]
    pinned = yaml.safe_load(explained.partition("\n")[2].partition("\nData report:")[0])
    assert pinned["raw_pairs"]["images"] == "images"
    assert ingest(mine, entry=pinned["raw_pairs"]).exit_code == 0
    pd.testing.assert_frame_equal(manifest_of(mine), before)


def test_masks_that_number_objects_are_recognised_and_the_printed_lines_pin_it(with_project):
    mine = with_project
    for number, path in enumerate(sorted((mine / "masks").iterdir())):
        numbers = np.zeros((64, 64), np.uint8)
        for place in range(9 + number):
            top, left = 10 * (place // 6), 10 * (place % 6)
            numbers[top : top + 9, left : left + 10] = place + 1  # rows of objects that touch
        Image.fromarray(numbers).save(path)
    result = ingest_by_command(mine)
    assert result.exit_code == 0, result.output
    explained = result.output.partition("Detected objects: the values of the masks number")[2]
    pinned = yaml.safe_load(explained.partition("\n")[2].partition("\nData report:")[0])
    assert pinned == {"ingestion": {"masks": {"instances": True}}}
    before = manifest_of(mine)
    assert sorted(before["objects"]) == list(range(9, 21))
    assert (before["touching"] >= before["objects"] - 1).all()
    fingerprint = json.loads((mine.parent / "data/03_primary/fingerprint.json").read_text())
    of_training = before[before["split"] == "train"]
    assert fingerprint["objects"]["objects"] == of_training["objects"].sum()
    assert fingerprint["objects"]["touching"] == of_training["touching"].sum()
    assert fingerprint["objects"]["area_percentiles"]["50"] == 90
    assert "touch another" in report_of(mine)
    (mine.parent / "conf/local/parameters.yml").write_text(yaml.safe_dump(pinned))
    again = ingest_by_command(mine)
    assert "Detected objects" not in again.output
    pd.testing.assert_frame_equal(manifest_of(mine), before)


def test_a_class_on_most_pixels_is_asked_about(with_project, caplog):
    mine = with_project
    for path in (mine / "masks").iterdir():
        Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    assert ingest_by_command(mine).exit_code == 0
    asked = [
        message for message in caplog.messages if "is the mask the wrong way round?" in message
    ]
    assert len(asked) == 1
    assert asked[0].startswith("'nucleus' covers ")
    assert asked[0] in report_of(mine).replace("&#39;", "'")


def test_the_slices_of_one_volume_are_cut_into_blocks(mine):
    volumes = [
        np.stack([np.asarray(Image.open(p)) for p in sorted((mine / kind).iterdir())])
        for kind in ("images", "masks")
    ]
    shutil.rmtree(mine / "images")
    shutil.rmtree(mine / "masks")
    for kind, volume in zip(("volume", "labels"), volumes, strict=True):
        tifffile.imwrite(mine / f"{kind}.tif", volume, metadata={"axes": "ZYX"})
    entry = UNDESCRIBED | {"layout": "stacks", "images": "volume.tif", "masks": "labels.tif"}
    refused = ingest(mine, entry=entry)
    assert refused.exit_code == 1
    assert "Set `ingestion.split.strategy: contiguous`" in refused.output
    assert ingest(mine, "ingestion.split.strategy=contiguous", entry).exit_code == 0
    manifest = manifest_of(mine)
    assert manifest["group"].unique().tolist() == ["volume"]
    assert manifest["split"].drop_duplicates().tolist() == ["train", "validation", "test"]


def test_two_possible_layouts_are_both_shown_and_none_is_used(mine):
    shutil.copytree(mine / "masks", mine / "manual")
    result = ingest(mine, entry=UNDESCRIBED)
    assert result.exit_code == 1
    assert "it can be read in 2 ways" in result.output
    assert "masks: masks" in result.output
    assert "masks: manual" in result.output
    assert not (mine.parent / "data/03_primary").exists()


def test_the_second_run_decodes_only_what_changed(mine, caplog):
    ingest(mine)
    assert "Decoded 12 new or changed of 12 pairs; 0 are unchanged" in caplog.messages
    caplog.clear()
    assert ingest(mine).exit_code == 0
    assert "Nothing has changed: none of 12 pairs was decoded" in caplog.messages
    write_pair(mine, "p9_99", 99)
    (mine / "images/p0_0.png").unlink()
    (mine / "masks/p0_0.png").unlink()
    caplog.clear()
    assert ingest(mine).exit_code == 0
    assert any(m.startswith("Decoded 1 new or changed of 12 pairs; 11") for m in caplog.messages)
    assert "removed 1 earlier samples" in " ".join(caplog.messages)


@pytest.mark.parametrize("strategy", ["random", "stratified", "contiguous"])
def test_no_image_changes_sides_when_images_are_added(mine, strategy):
    params = f"ingestion.split.strategy={strategy},ingestion.split.group=^(p\\d+)"
    assert ingest(mine, params).exit_code == 0
    before = manifest_of(mine).set_index("id")["split"]
    for number in range(12, 18):
        write_pair(mine, f"p{number // 3}_{number}", number)
    assert ingest(mine, params).exit_code == 0
    after = manifest_of(mine)
    assert len(after) == 18
    pd.testing.assert_series_equal(after.set_index("id")["split"].loc[before.index], before)
    assert (after.groupby("group")["split"].nunique() == 1).all()


@pytest.mark.slow
def test_the_same_picture_on_two_sides_stops_the_run_after_the_report(with_project):
    mine = with_project
    for number in range(2, 9):
        shutil.copy(mine / "images/p0_0.png", mine / f"images/copy_{number}.png")
        shutil.copy(mine / "masks/p0_0.png", mine / f"masks/copy_{number}.png")
    result = ingest_by_command(mine)
    assert result.exit_code == 1
    assert "the split leaks" in result.output
    assert "identical pixels" in result.output
    assert not (mine.parent / "data/03_primary/manifest.parquet").exists()
    assert "copy_2" in report_of(mine)
    leaks = pd.read_csv(mine.parent / "data/02_intermediate/leaks.csv")
    assert set(leaks["kind"]) == {"identical pixels"}
    assert ingest(mine, "ingestion.leakage.duplicates=allow").exit_code == 0
    assert ingest(mine, "ingestion.leakage.duplicates=together").exit_code == 0
    manifest = manifest_of(mine).set_index("id")
    assert manifest.loc[["p0_0", "copy_2", "copy_8"], "split"].nunique() == 1


def test_duplicates_that_a_given_split_divides_are_named_with_a_fix_that_works(mine):
    shutil.copy(mine / "images/p0_0.png", mine / "images/copy.png")
    shutil.copy(mine / "masks/p0_0.png", mine / "masks/copy.png")
    names = sorted(path.stem for path in (mine / "images").iterdir())
    rows = [f"{name},{'test' if name == 'copy' else 'train'}" for name in names]
    (mine / "splits.csv").write_text("\n".join(["image,side", *rows]))
    table = {"file": "splits.csv", "id": "image", "split": "side"}
    params = "ingestion.split.strategy=given,ingestion.leakage.duplicates=together"
    result = ingest(mine, params, FOLDERS | {"split_table": table})
    assert result.exit_code == 1
    assert "identical pixels" in result.output
    assert "take one of each two away" in " ".join(result.output.split())


def test_a_group_on_two_sides_stops_the_run_unless_allowed(mine):
    rows = [f"p{n // 2}_{n},{'train' if n % 2 else 'val' if n < 6 else 'test'}" for n in range(12)]
    (mine / "splits.csv").write_text("\n".join(["image,side", *rows]))
    table = {"file": "splits.csv", "id": "image", "split": "side"}
    params = "ingestion.split.strategy=given,ingestion.split.group=^(p\\d+)"
    result = ingest(mine, params, FOLDERS | {"split_table": table})
    assert result.exit_code == 1
    assert re.search(r"p0_\d \(\w+\) and p0_\d \(\w+\): same group", result.output)
    assert "ingestion.leakage.groups: allow" in result.output
    params += ",ingestion.leakage.groups=allow"
    assert ingest(mine, params, FOLDERS | {"split_table": table}).exit_code == 0
    assert manifest_of(mine)["split"].value_counts().to_dict() == {
        "train": 6,
        "validation": 3,
        "test": 3,
    }


def test_blocks_do_not_cut_the_groups_of_a_table(mine):
    rows = [f"p{n // 2}_{n},{'AB'[n // 6]}" for n in range(12)]
    (mine / "patients.csv").write_text("\n".join(["id,patient", *rows]))
    table = {"file": "patients.csv", "group": "patient"}
    result = ingest(mine, "ingestion.split.strategy=contiguous", FOLDERS | {"split_table": table})
    assert result.exit_code == 1
    assert "same group" in result.output
    assert not (mine.parent / "data/03_primary/manifest.parquet").exists()


def test_folds_cover_all_but_the_test_images(mine):
    assert ingest(mine, "ingestion.split.folds=3").exit_code == 0
    manifest = manifest_of(mine)
    assert (manifest.loc[manifest["split"] == "test", "fold"] == -1).all()
    assert set(manifest.loc[manifest["split"] != "test", "fold"]) == {0, 1, 2}


def test_training_on_samples_newer_than_the_manifest_is_refused(with_project):
    mine = with_project
    assert ingest(mine).exit_code == 0
    for number in range(1, 12):
        write_pair(mine, f"p{number // 2}_{number}", number + 50)
    (mine / "masks/p0_0.png").write_bytes(b"broken")
    refused = ingest(mine, "ingestion.max_quarantined_fraction=0")
    assert refused.exit_code == 1
    stages = ("--pipelines", "augmentation", "--params", TINY)
    result = kedro_run(mine.parent, *stages)
    assert result.exit_code == 1
    assert "Run `kedro run --pipelines ingestion`" in result.output


def test_three_classes_are_read(mine):
    for path in (mine / "masks").iterdir():
        mask = np.asarray(Image.open(path)).copy()
        mask[:8, :8] = 7
        Image.fromarray(mask).save(path)
    classes = [
        {"name": name, "values": value} for name, value in zip("abc", (0, 255, 7), strict=True)
    ]
    assert ingest(mine, classes=classes).exit_code == 0
    assert manifest_of(mine)["fraction_c"].to_numpy() == pytest.approx(64 / 64**2)


def write_unusual_pairs(folder: Path, dtype: type, channels: int) -> None:
    """Write images of a dtype and with channels as hardly any camera makes them."""
    for number in range(8):
        demo = draw_nuclei(64, generator_for("unusual", number))
        image = np.stack([demo.image // (k + 1) for k in range(channels)], axis=2)
        scaled = image / 70_000 - 0.5 if dtype == np.float32 else image
        for kind, pixels in (("images", scaled.astype(dtype)), ("masks", demo.instances)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(
                folder / kind / f"{number}.tif",
                np.squeeze(pixels),
                photometric="minisblack",
                planarconfig="contig" if pixels.squeeze().ndim == 3 else None,
            )


def check_unusual_manifest(project: Path, dtype: type, channels: int) -> None:
    manifest = pd.read_parquet(project / "data/03_primary/manifest.parquet")
    assert manifest["id"].tolist() == [str(number) for number in range(8)]
    assert set(manifest["split"]) == {"train", "validation", "test"}
    assert set(manifest["dtype"]) == {np.dtype(dtype).name}
    assert set(manifest["channels"]) == {channels}


@pytest.mark.parametrize(("dtype", "channels"), [(np.float32, 2), (np.uint16, 5)])
def test_unusual_images_are_read(tmp_path, dtype, channels):
    write_unusual_pairs(tmp_path / "mine", dtype, channels)
    assert run_ingestion(tmp_path, FOLDERS).exit_code == 0
    check_unusual_manifest(tmp_path, dtype, channels)


@pytest.mark.slow
def test_unusual_images_pass_the_whole_chain(project):
    entry = {"type": "unetflow.datasets.ImageFolderDataset", "path": "mine/images"}
    catalog = yaml.safe_dump({"raw_pairs": FOLDERS, "images_to_segment": entry})
    (project / "conf/local/catalog.yml").write_text(catalog)
    write_unusual_pairs(project / "mine", np.float32, 5)
    result = kedro_run(project, "--params", TINY)
    assert result.exit_code == 0, result.output
    check_unusual_manifest(project, np.float32, 5)
    assert len(list((project / "data/07_model_output/masks").glob("*.png"))) == 8
