"""A `kedro run` with the preset `planned` on images of one's own, apart from the project's data."""

import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[1]
CATALOG = """raw_pairs:
  type: unetflow.datasets.SourceDataset
  path: {folder}
  layout: folders
images_to_segment:
  type: unetflow.datasets.ImageFolderDataset
  path: {folder}/images
"""


def train_planned(folder: Path, pairs: Path, parameters: str, classes: str = "") -> Path:
    """Ingest, plan, train and evaluate.

    Args:
        folder: Where configuration and data are written.
        pairs: Holds `images/` and `masks/`.
        parameters: Those of the run, besides the preset; empty ones between commas are left out.
        classes: The section of `parameters.yml`; empty to let ingestion find out.

    Returns:
        The folder of all data.
    """
    data = folder / "data"
    shutil.copytree(PROJECT / "conf", folder / "conf", ignore=shutil.ignore_patterns("local"))
    environment = folder / "conf/local"
    environment.mkdir()
    (environment / "catalog.yml").write_text(CATALOG.format(folder=pairs))
    (environment / "parameters.yml").write_text(classes)
    (environment / "globals.yml").write_text(f"data: {data}\n")
    given = ",".join(part for part in ["preset=planned", *parameters.split(",")] if part)
    command = [sys.executable, "-m", "kedro", "run", "--pipelines", "training"]
    command += ["--conf-source", str(folder / "conf"), "--params", given]
    subprocess.run(command, check=True, cwd=PROJECT)
    return data
