"""What a model is compared with, with segmenters that are no networks."""

import logging
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from unetflow.data.samples import Sample, SampleFolder, write_sample
from unetflow.inference.postprocessing import Postprocessing
from unetflow.pipelines.evaluation import compare, score_champion

MANIFEST = pd.DataFrame(
    {
        "id": ["b", "a", "seen"],
        "group": ["x", "y", "y"],
        "split": ["test", "test", "train"],
        "stamp": "1",
        "image_sha256": "2",
        "mask_sha256": "3",
    }
)
LABEL = np.array([[0, 1], [1, 1]], np.uint8)


@dataclass(frozen=True)
class Constant:
    """Finds the same everywhere."""

    found: int
    settings: SimpleNamespace

    def predict_probabilities(self, image):
        foreground = np.full(image.shape[:2], self.found, np.float32)
        return np.stack([1 - foreground, foreground], axis=-1)

    postprocessing = Postprocessing(threshold=None)


def segmenter(found=1, **changes):
    known = {"classes": ["nothing", "cell"], "channels": 1, "dtype": "uint8"}
    return Constant(found, SimpleNamespace(**known | changes))


@pytest.fixture
def samples(tmp_path):
    descriptions = {str(row["id"]): row for row in MANIFEST.to_dict("records")}
    for sample_id in descriptions:
        (tmp_path / sample_id).mkdir()
        write_sample(tmp_path / sample_id, Sample(np.zeros((2, 2, 1), np.uint8), LABEL))
    return SampleFolder(tmp_path, descriptions)


def test_champion_is_scored_on_the_test_images(samples):
    scores = score_champion(("unetflow version 3", segmenter()), segmenter(), samples, MANIFEST)
    assert sorted(scores["id"]) == ["a", "b"]
    assert set(scores["model"]) == {"unetflow version 3"}
    assert scores["dice"].tolist() == pytest.approx([6 / 7, 6 / 7])  # 2 * 3 / (4 + 3)


@pytest.mark.parametrize(
    "other", [{"classes": ["nothing", "nucleus"]}, {"channels": 3}, {"dtype": "uint16"}]
)
def test_a_champion_for_other_data_is_skipped_with_a_warning(other, samples, caplog):
    champion = ("unetflow version 3", segmenter(**other))
    scores = score_champion(champion, segmenter(), samples, MANIFEST)
    assert len(scores) == 0
    (record,) = (r for r in caplog.records if r.levelno == logging.WARNING)
    assert "unetflow version 3, is not compared: it separates" in record.getMessage()


def test_without_a_champion_the_table_is_empty(samples):
    scores = score_champion(None, segmenter(), samples, MANIFEST)
    assert len(scores) == 0
    assert {"model", "id", "dice"} == set(scores)


def test_each_baseline_is_compared_on_the_images_that_it_has():
    own = pd.DataFrame(
        {
            "id": ["a", "b"],
            "dice": [0.9, 0.8],
            "background_dice": [0.0, 0.0],
            "otsu_dice": [0.5, np.nan],
        }
    )
    champion = pd.DataFrame({"model": ["m 1"] * 2, "id": ["b", "a"], "dice": [0.7, 0.9]})
    compared = compare(own, champion, MANIFEST, 0)
    assert compared["mean"] == pytest.approx(0.85)
    nothing, otsu, before = compared["baselines"]
    assert (nothing["name"], nothing["mean"]) == ("finding nothing", 0)
    assert nothing["mean_difference"] == pytest.approx(0.85)
    assert (otsu["name"], otsu["images"], otsu["mean"]) == ("Otsu's threshold", 1, 0.5)
    assert otsu["mean_difference"] == pytest.approx(0.4)
    assert before["name"] == "previous champion, m 1"
    assert before["mean_difference"] == pytest.approx(0.05)  # by id: 0.9 - 0.9 and 0.8 - 0.7
    assert (before["images"], before["groups"], before["p_value"]) == (2, 2, None)


def test_neither_otsu_nor_a_champion_is_needed():
    own = pd.DataFrame({"id": ["a"], "dice": [0.9], "background_dice": [0.0]})
    compared = compare(own, pd.DataFrame(columns=["model", "id", "dice"]), MANIFEST, 0)
    assert [other["name"] for other in compared["baselines"]] == ["finding nothing"]
