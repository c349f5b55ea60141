"""Real data sets, where the environment variable UNET_REAL_DATA says where they are."""

import os
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import kedro_run

pytestmark = pytest.mark.skipif("UNET_REAL_DATA" not in os.environ, reason="needs UNET_REAL_DATA")


def _manifest(project: Path, env: str) -> pd.DataFrame:
    (project / "conf/local/catalog.yml").unlink()
    result = kedro_run(project, "--env", env, "--pipelines", "ingestion")
    assert result.exit_code == 0, result.output
    return pd.read_parquet(project / "data/03_primary/manifest.parquet")


def test_isbi2012_is_split_by_blocks_of_slices(project):
    manifest = _manifest(project, "isbi2012")
    assert manifest["id"].tolist() == [str(number) for number in range(24)]
    assert manifest["split"].tolist() == ["train"] * 17 + ["validation"] * 3 + ["test"] * 4
    assert manifest["fraction_cell"].mean() == pytest.approx(0.78, abs=0.01)


def test_deepcrack_pairs_jpeg_with_png(project):
    manifest = _manifest(project, "deepcrack")
    assert len(manifest) == 300
    assert set(zip(manifest["height"], manifest["width"], strict=True)) == {(384, 544)}
    assert manifest["fraction_crack"].mean() == pytest.approx(0.03, abs=0.01)
    assert manifest["split"].value_counts()["train"] > 180
