"""A whole run whose validation images hold no foreground says so, and never "nan"."""

import json
import logging
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import TINY, kedro_run
from tests.support.networks import square_samples

pytestmark = pytest.mark.slow

NAN = re.compile(r"\bnan\b", re.IGNORECASE)
SIZES = {"train": 6, "validation": 2, "test": 3}
CATALOG = """
raw_pairs:
  type: unetflow.datasets.SourceDataset
  path: squares
  layout: folders
  splits:
    train: {images: train/images, masks: train/masks}
    validation: {images: validation/images, masks: validation/masks}
    test: {images: test/images, masks: test/masks}
images_to_segment:
  type: unetflow.datasets.ImageFolderDataset
  path: squares/test/images
"""
PARAMETERS = """
ingestion: {split: {strategy: given}, leakage: {duplicates: allow}}
classes:
  - {name: background, values: 0}
  - {name: square, values: 255}
"""


@pytest.fixture
def squares(project: Path) -> Path:
    """A project whose training and test images hold squares, and its validation images none."""
    for seed, (split, count) in enumerate(SIZES.items()):
        for name, sample in square_samples(count, seed, size=48, square=16).items():
            held = sample.label * (split != "validation")
            noise = np.random.default_rng(seed).integers(0, 40, held.shape)
            for folder, pixels in (("images", 180 * held + noise), ("masks", 255 * held)):
                path = project / "squares" / split / folder / f"{split}_{name}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels.astype(np.uint8)).save(path)
    (project / "conf/local/catalog.yml").write_text(CATALOG)
    (project / "conf/local/parameters.yml").write_text(PARAMETERS)
    return project


def read_words(page: Path) -> str:
    """Return the text of an HTML page with the descriptions of its pictures, but not these."""
    return re.sub(r"base64,[^\"]*|<(script|style).*?</\1>", "", page.read_text(), flags=re.DOTALL)


def test_where_no_validation_image_holds_foreground_words_say_so(
    squares: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        result = kedro_run(squares, "--params", TINY)
    assert result.exit_code == 0, result.output
    messages = [record.getMessage() for record in caplog.records]
    printed = "\n".join([*messages, result.output])
    assert "No validation image holds foreground, so there is no validation Dice" in printed
    assert re.search(r"validation loss \d+\.\d{3}, no Dice;", printed)
    assert re.search(r"Kept the weights of epoch \d of 2: validation loss \d", printed)
    assert not [line for line in printed.splitlines() if NAN.search(line)]
    reports = squares / "data/08_reporting"
    for page in reports.glob("*.html"):
        text = read_words(page)
        assert not [text[found.start() - 80 : found.end()] for found in NAN.finditer(text)], page
    assert "and none on validation images" in read_words(reports / "report.html")
    for file in reports.glob("*.json"):
        json.loads(file.read_text(), parse_constant=lambda name, file=file: pytest.fail(str(file)))
    result = kedro_run(squares, "--pipelines", "optimisation")
    assert result.exit_code == 1
    assert "no validation image holds foreground" in caplog.text
