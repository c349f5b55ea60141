"""What a model is compared with, with segmenters that are no networks."""

import logging
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tests.support.score_tables import AREA, WHOLE, of_dice
from unetflow.data.samples import Sample, SampleFolder, write_sample
from unetflow.evaluation.review import choose_specimens
from unetflow.inference.postprocessing import NetworkOutputs, Postprocessing
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

    def segment(self, image):
        foreground = np.full(image.shape[:2], self.found, np.float32)
        probabilities = np.stack([1 - foreground, foreground], axis=-1)
        return self.postprocessing.segment(NetworkOutputs(probabilities, None))

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


def test_each_baseline_is_compared_on_the_same_images():
    half = {"otsu_found_pixels": AREA, "otsu_correct_pixels": AREA // 2}
    own = of_dice([0.9, 0.8], ids=["a", "b"], **half)
    champion = of_dice([0.7, 0.9], ids=["b", "a"], model="m 1")
    compared = compare(own, champion, MANIFEST, 0)
    assert compared["mean"] == pytest.approx(0.85)
    nothing, everything, otsu, before = compared["baselines"]
    assert (nothing["name"], nothing["mean"]) == ("finding nothing", 0)
    assert nothing["mean_difference"] == pytest.approx(0.85)
    assert everything["name"] == "finding everything"
    assert everything["mean"] == pytest.approx(2 * AREA / (AREA + WHOLE))
    assert (otsu["name"], otsu["images"], otsu["mean"]) == ("Otsu's threshold", 2, 0.5)
    assert otsu["mean_difference"] == pytest.approx(0.35)
    assert before["name"] == "previous champion, m 1"
    assert before["mean_difference"] == pytest.approx(0.05)  # by id: 0.9 - 0.9 and 0.8 - 0.7
    assert (before["images"], before["groups"], before["p_value"]) == (2, 2, None)


def test_neither_otsu_nor_a_champion_is_needed():
    own = of_dice([0.9], ids=["a"])
    compared = compare(own, pd.DataFrame(columns=["model", "id", "dice"]), MANIFEST, 0)
    names = [other["name"] for other in compared["baselines"]]
    assert names == ["finding nothing", "finding everything"]


def test_without_foreground_nothing_is_compared():
    own = of_dice([], [0, 4], ids=["a", "b"])
    compared = compare(own, pd.DataFrame(columns=["model", "id", "dice"]), MANIFEST, 0)
    assert (compared["mean"], compared["baselines"]) == (None, [])


def test_gallery_shows_the_worst_the_best_and_the_largest_false_alarms():
    table = of_dice([0.5, 0.9, 0.1, 0.7], [0, 3, 8, 1], ids=list("abcdefgh"))
    assert list(choose_specimens(table, 2)) == ["c", "b", "g"]
    titles = choose_specimens(table, 6)
    assert list(titles) == ["c", "a", "d", "b", "g", "f", "h"]
    assert titles["c"] == "c: Dice 0.100"
    assert titles["g"] == "g: empty, false alarm of 80,000 pixels"
    assert list(choose_specimens(of_dice([], [0, 0], ids=["a", "b"]), 6)) == ["a", "b"]
