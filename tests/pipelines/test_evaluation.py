"""What the stage `evaluation` makes of its parameters and of the samples' objects."""

import logging
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.conftest import ROOT
from tests.support.images import store_samples
from tests.support.networks import GREY, tiny_unet
from unetflow.config.base import read_parameters
from unetflow.config.classes import Classes, ClassSpec
from unetflow.config.evaluation import EvaluationParameters
from unetflow.core.errors import InputError
from unetflow.data.fingerprint import measure_fingerprint
from unetflow.data.manifest import tabulate
from unetflow.data.object_sizes import RemovalCost
from unetflow.data.samples import INSTANCES, Sample, SampleFolder, write_sample
from unetflow.inference.postprocessing import NetworkOutputs, Postprocessing
from unetflow.io.tiff_writer import write_tiff
from unetflow.metrics.families import FAMILIES
from unetflow.models.unet import with_preprocessing
from unetflow.pipelines import evaluation as nodes
from unetflow.pipelines import evaluation_tuning
from unetflow.pipelines.evaluation_tuning import finish_segmenter

BASE = yaml.safe_load((ROOT / "conf/base/parameters_evaluation.yml").read_text())["evaluation"]
CLASSES = Classes((ClassSpec("background", (0,)), ClassSpec("nucleus", None)))
SAME = {"image_sha256": "1", "mask_sha256": "2", "stamp": "3"}


def test_every_family_may_be_asked_for():
    read = read_parameters(EvaluationParameters, BASE | {"scores": list(FAMILIES)})
    assert read.scores == list(FAMILIES)


@pytest.mark.parametrize(
    ("scores", "where"),
    [(["surface"], "evaluation.scores"), (["pixels", "surfaces"], "evaluation.scores.1")],
)
def test_scores_without_pixels_and_unknown_ones_are_refused(scores, where):
    with pytest.raises(InputError) as caught:
        read_parameters(EvaluationParameters, BASE | {"scores": scores}, "evaluation")
    assert caught.value.where == where


@pytest.mark.parametrize(
    ("environment", "family"),
    [("drive", "centreline"), ("deepcrack", "centreline"), ("isbi2012", "membranes")],
)
def test_environments_switch_on_what_suits_their_structures(environment, family):
    written = yaml.safe_load((ROOT / "conf" / environment / "parameters.yml").read_text())
    read = read_parameters(EvaluationParameters, BASE | written["evaluation"])
    assert read.scores == [*BASE["scores"], family]


def test_test_images_are_scored_by_object_where_they_have_numbers(tmp_path):
    label = np.array([[1, 1, 0, 1]] * 4, np.uint8)
    sides = {"a": "validation", "b": "test", "c": "test"}
    for sample_id in sides:
        write_sample(tmp_path / sample_id, Sample(label[:, :, None] * 200, label))
    write_tiff(tmp_path / "b" / INSTANCES, np.array([[3, 3, 0, 9]] * 4, np.uint16))
    samples = SampleFolder(tmp_path, dict.fromkeys(sides, SAME))
    manifest = pd.DataFrame(
        [{"id": i, "split": side, "image_file": i, "group": i, **SAME} for i, side in sides.items()]
    )
    postprocessing = Postprocessing(threshold=0.5)
    segmenter = SimpleNamespace(
        settings=SimpleNamespace(classes=["background", "cell"], postprocessing=postprocessing),
        segment=lambda image: postprocessing.segment(
            NetworkOutputs(image.astype(np.float32) / 255, None)
        ),
        postprocessing=postprocessing,
    )
    scored = nodes.score_test_images(segmenter, samples, manifest, EvaluationParameters())
    metrics = nodes.summarise(*scored, segmenter, manifest, EvaluationParameters(), seed=1)
    assert scored[0]["id"].tolist() == ["b", "c"]
    assert metrics["scores"]["dsb_score"]["mean"] == 1
    assert metrics["scores"]["dsb_score"]["images"] == 1
    assert metrics["scores"]["hd95"]["images"] == 2
    assert metrics["scores"]["dice"]["interval"] == [1, 1]
    assert metrics["pooled"]["roc_auc"]["value"] == 1


def finish(tmp_path, samples, splits, numbers=None, **changes):
    """Finish a segmenter whose network takes the brightness for the probability."""
    _, folder = store_samples(tmp_path, samples)
    for name, true in (numbers or {}).items():
        write_tiff(folder.folder / name / INSTANCES, true)
        folder.descriptions[name] |= {"has_instances": True}
    areas = {name: np.bincount(true.ravel())[1:] for name, true in (numbers or {}).items()}
    folder.object_areas = areas.get
    table = tabulate(folder, list(CLASSES.root)).assign(split=splits)
    plan = SimpleNamespace(
        training=SimpleNamespace(tile=64), model=SimpleNamespace(instances="none")
    )
    return finish_segmenter(
        with_preprocessing(tiny_unet(), GREY),
        folder,
        table,
        measure_fingerprint(table, folder, list(CLASSES.root)),
        CLASSES,
        EvaluationParameters(threshold_candidates=9, **changes),
        plan,
        seed=1,
    )[0]


def discs(count, size=48):
    """Make images of two discs that touch, and of a true object of 2 pixels each."""
    rows, columns = np.indices((size, size))
    numbers = np.zeros((size, size), np.uint16)
    for number, column in ((1, 14), (2, 28)):
        numbers[(rows - 20) ** 2 + (columns - column) ** 2 <= 49] = number
    numbers[44, 44:46] = 3
    label = np.minimum(numbers, 1).astype(np.uint8)
    return {str(n): Sample(label[:, :, None] * 200, label) for n in range(count)}, numbers


def test_a_segmenter_knows_what_removing_costs_and_whether_objects_were_numbered(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    samples, numbers = discs(3)
    splits = ["train", "validation", "test"]
    found = finish(tmp_path / "a", samples, splits).settings
    assert found.objects_numbered is False
    assert found.postprocessing.min_object_size <= 2  # half of the smallest object
    assert "No sample numbers its objects" in caplog.text
    numbered = finish(tmp_path / "b", samples, splits, {"2": numbers}).settings
    assert numbered.objects_numbered is True
    assert numbered.postprocessing.fitted is None  # test images are not for tuning


def test_the_cost_of_the_smallest_object_is_stored_and_logged(tmp_path, caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    samples, _ = discs(3)
    chosen = Postprocessing(threshold=0.5, min_object_size=72)  # half of the only object
    monkeypatch.setattr(
        evaluation_tuning, "tune_postprocessing", lambda *given: (chosen, given[-1], {})
    )
    label = np.zeros((48, 48), np.uint8)
    label[2:14, 2:14] = 1
    samples["0"] = Sample(label[:, :, None] * 200, label)
    found = finish(tmp_path, samples, ["train", "validation", "test"]).postprocessing
    assert found.removal == RemovalCost(area=72, lost=0, objects=1, pieces=True)
    assert "Objects of fewer than 72 pixels are removed: 0 of the 1 training objects" in caplog.text
