"""Real data sets, where the environment variable UNET_REAL_DATA says where they are."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from tests.conftest import kedro_run

DATA = Path(os.environ.get("UNET_REAL_DATA", "."))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("UNET_REAL_DATA" not in os.environ, reason="needs UNET_REAL_DATA"),
]


def _manifest(project: Path, env: str) -> pd.DataFrame:
    (project / "conf/local/catalog.yml").unlink()
    result = kedro_run(project, "--env", env, "--pipelines", "ingestion")
    assert result.exit_code == 0, result.output
    return pd.read_parquet(project / f"data/{env}/03_primary/manifest.parquet")


def test_isbi2012_is_split_by_blocks_of_slices(project):
    manifest = _manifest(project, "isbi2012")
    assert manifest["id"].tolist() == [str(number) for number in range(24)]
    assert manifest["split"].tolist() == ["train"] * 17 + ["validation"] * 3 + ["test"] * 4
    assert manifest["fraction_cell"].mean() == pytest.approx(0.78, abs=0.01)


def test_deepcrack_pairs_jpeg_with_png_and_keeps_a_photograph_on_one_side(project):
    manifest = _manifest(project, "deepcrack")
    assert len(manifest) == 300
    assert set(zip(manifest["height"], manifest["width"], strict=True)) == {(384, 544)}
    assert manifest["fraction_crack"].mean() == pytest.approx(0.03, abs=0.01)
    assert manifest["split"].value_counts()["train"] > 180
    assert (manifest.groupby("group")["split"].nunique() == 1).all()
    assert manifest.loc[manifest["id"] == "11116-3", "group"].item() == "11116"


def test_drive_counts_no_pixel_outside_the_field_of_view(project):
    manifest = _manifest(project, "drive")
    assert manifest["id"].tolist() == [f"{number}_training" for number in range(21, 41)]
    # The field of view is a circle that the picture's upper and lower edges cut.
    assert manifest["ignored"].between(0.28, 0.36).all()
    folder = project / "data/drive/02_intermediate/samples/21_training"
    label = tifffile.imread(folder / "label.tif")
    with Image.open(DATA / "drive/training/mask/21_training_mask.gif") as region:
        outside = np.asarray(region) == 0
    with Image.open(DATA / "drive/training/1st_manual/21_manual1.gif") as vessels:
        inside = np.asarray(vessels)[~outside]
    assert (label[outside] == 255).all()
    np.testing.assert_array_equal(label[~outside], inside // 255)


def test_camvid_is_split_by_its_folders_and_void_is_ignored(project):
    manifest = _manifest(project, "camvid")
    given = manifest["id"].str.partition("/")[0]
    assert given.value_counts().to_dict() == {"train": 41, "test": 13}
    assert (manifest.loc[given == "test", "split"] == "test").all()
    assert set(manifest.loc[given == "train", "split"]) == {"train", "validation"}
    with Image.open(DATA / "camvid/trainannot/0001TP_006690.png") as annotation:
        void = (np.asarray(annotation) == 11).mean()
    row = manifest.set_index("id").loc["train/0001TP_006690"]
    assert row["ignored"] == pytest.approx(void)
    fractions = manifest.filter(like="fraction_")
    assert fractions.shape[1] == 12
    np.testing.assert_allclose(fractions.sum(axis=1), 1)


def test_dsb2018_is_read_out_of_its_archive(project):
    manifest = _manifest(project, "dsb2018")
    assert len(manifest) == 670
    assert manifest["objects"].sum() == 29_461 - _hidden_objects(manifest)
    assert manifest["objects"].agg(["min", "max"]).tolist() == [1, 375]
    assert manifest.groupby(["height", "width"]).ngroups == 9
    assert manifest["channels"].unique().tolist() == [3]  # alpha is constant everywhere
    # Alike in foreground: no split is far from the mean of all.
    means = manifest.groupby("split")["foreground"].mean()
    assert (means / manifest["foreground"].mean()).between(0.8, 1.25).all()
    row = manifest.sort_values("overlap").iloc[-1]
    masks = _masks_of(row["id"])
    assert row["overlap"] == (sum(mask.astype(int) for mask in masks) > 1).sum()
    instances = tifffile.imread(
        project / "data/dsb2018/02_intermediate/samples" / row["id"] / "instances.tif"
    )
    np.testing.assert_array_equal(instances > 0, np.any(masks, axis=0))


def _hidden_objects(manifest: pd.DataFrame) -> int:
    """Count the masks that later ones of the same image cover wholly."""
    hidden = 0
    for sample_id in manifest.loc[manifest["overlap"] > 0, "id"]:
        masks = _masks_of(sample_id)
        above = np.zeros(masks[0].shape, bool)
        for mask in reversed(masks):
            hidden += not (mask & ~above).any()
            above |= mask
    return hidden


def _masks_of(sample_id: str) -> list[np.ndarray]:
    with zipfile.ZipFile(DATA / "dsb2018/stage1_train.zip") as archive:
        names = sorted(n for n in archive.namelist() if n.startswith(f"{sample_id}/masks/"))
        return [np.asarray(Image.open(archive.open(name))) > 0 for name in names]
