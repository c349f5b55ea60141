"""A cross-validation in which networks with random weights stand for trained ones."""

import json
import re
import shutil
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from click.testing import Result

from tests.conftest import TINY, kedro_run
from unetflow.inference.segmenter import Segmenter
from unetflow.models.unet import with_preprocessing
from unetflow.pipelines import cross_validation as nodes


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> list[pd.DataFrame]:
    """Put something quick in the place of the training, and return what it has to learn from."""
    seen: list[pd.DataFrame] = []

    def train(unet, samples, part, fingerprint, policy, weights, targets, plan, *others):
        seen.append(part)
        _, listeners, _ = others
        listeners.on_epoch(0, {"loss": len(seen)})
        return with_preprocessing(unet, fingerprint.intensity), None

    monkeypatch.setattr(nodes, "train_unet", train)
    return seen


@pytest.mark.slow
@pytest.mark.xdist_group("finished")
def test_each_image_is_scored_once_by_a_network_that_has_not_seen_it(
    finished: tuple[Path, Result], tmp_path: Path, parts: list[pd.DataFrame]
) -> None:
    project = shutil.copytree(finished[0], tmp_path / "copy")
    _deal_folds(project / "data/03_primary/manifest.parquet")
    only = ("--pipelines", "cross_validation", "--tags", "cross_validation")
    result = kedro_run(project, *only, "--params", TINY)
    assert result.exit_code == 0, result.output
    assert re.search(r"Cross-validation: (No better than [\w' ]+: )?Dice 0\.", result.output)

    reporting = project / "data/08_reporting"
    manifest = pd.read_parquet(project / "data/03_primary/manifest.parquet")
    scores = pd.read_csv(reporting / "cross_validation_scores.csv")
    assert scores["id"].tolist() == manifest.loc[manifest["split"] != "test", "id"].tolist()
    for fold, part in enumerate(parts):
        tested = set(part.loc[part["split"] == "test", "id"])
        assert tested == set(scores.loc[scores["fold"] == fold, "id"])
        assert tested == set(manifest.loc[manifest["fold"] == fold, "id"])
    metrics = json.loads((reporting / "cross_validation_metrics.json").read_text())
    assert metrics["scores"]["dice"]["mean"] == pytest.approx(scores["dice"].mean())
    members = [Segmenter.load(project / f"data/06_models/folds/fold_{i}.keras") for i in range(3)]
    ensemble = Segmenter.load(project / "data/06_models/ensemble.keras")
    assert ensemble.model.count_params() == sum(m.model.count_params() for m in members)

    client = mlflow.MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("unetflow").experiment_id
    parent = client.search_runs([experiment], "attributes.run_name = 'cross_validation'")[0]
    assert parent.data.metrics["out_of_fold_dice"] == pytest.approx(scores["dice"].mean())
    assert parent.data.metrics["out_of_fold_dice_spread"] >= 0
    assert "ensemble_dice" in parent.data.metrics
    assert "loss" not in parent.data.metrics
    nested = client.search_runs(
        [experiment], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'", order_by=["start_time"]
    )
    assert [run.info.run_name for run in nested] == ["fold_0", "fold_1", "fold_2"]
    assert [run.data.metrics["loss"] for run in nested] == [1, 2, 3]
    assert {run.info.status for run in nested} == {"FINISHED"}
    means = scores.groupby("fold")["dice"].mean()
    assert [run.data.metrics["test_dice"] for run in nested] == pytest.approx(means.tolist())


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ("", "ingestion.split.folds: a cross-validation needs three or more"),
        (",ingestion.split.folds=3,start_from=a.keras", "may have seen the images"),
    ],
)
def test_wrong_parameters_are_refused_before_anything_runs(
    project: Path, params: str, message: str
) -> None:
    result = kedro_run(project, "--pipelines", "cross_validation", "--params", TINY + params)
    assert result.exit_code == 1
    assert message in " ".join(result.output.split())
    assert not (project / "data").exists()


def _deal_folds(path: Path) -> None:
    """Write folds into a manifest, which costs less time than another ingestion."""
    manifest = pd.read_parquet(path)
    inside = manifest["split"] != "test"
    manifest.loc[inside, "fold"] = [number % 3 for number in range(inside.sum())]
    manifest.to_parquet(path)
