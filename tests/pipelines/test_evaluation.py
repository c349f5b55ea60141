"""What the stage `evaluation` makes of its parameters and of the samples' objects."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.conftest import ROOT
from unetflow.config.base import read_parameters
from unetflow.config.evaluation import EvaluationParameters
from unetflow.core.errors import InputError
from unetflow.data.samples import INSTANCES, Sample, SampleFolder, write_sample
from unetflow.inference.postprocessing import NetworkOutputs, Postprocessing
from unetflow.io.tiff_writer import write_tiff
from unetflow.metrics.families import FAMILIES
from unetflow.pipelines import evaluation as nodes

BASE = yaml.safe_load((ROOT / "conf/base/parameters_evaluation.yml").read_text())["evaluation"]
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
