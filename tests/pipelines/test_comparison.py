"""An evaluation that is repeated: beside the champion, and beside the first run."""

import json
from pathlib import Path

import mlflow
import pytest

from tests.conftest import TINY, kedro_run

pytestmark = pytest.mark.slow


@pytest.mark.xdist_group("finished")
def test_a_second_evaluation_is_a_second_run_compared_with_the_champion_and_the_first(
    copy: Path,
) -> None:
    client = mlflow.MlflowClient(f"sqlite:///{copy / 'mlflow.db'}")
    client.set_registered_model_alias("unetflow", "champion", "1")
    experiment = client.get_experiment_by_name("unetflow").experiment_id
    runs = len(client.search_runs([experiment]))
    reporting = copy / "data/08_reporting"
    before = (reporting / "image_scores.csv").read_bytes()
    result = kedro_run(copy, "--pipelines", "evaluation", "--params", TINY)
    assert result.exit_code == 0, result.output
    assert (reporting / "image_scores.csv").read_bytes() == before
    assert len(client.search_runs([experiment])) == runs + 1

    compared = json.loads((reporting / "baseline_comparison.json").read_text())["baselines"]
    assert compared[-1]["name"] == "previous champion, unetflow version 1"
    assert compared[-1]["mean_difference"] == 0  # it is the same model
    assert "previous champion, unetflow version 1" in (reporting / "report.html").read_text()

    result = kedro_run(copy, "--pipelines", "comparison")
    assert result.exit_code == 0, result.output
    assert "Comparison: data/08_reporting/comparison.html" in result.output
    page = (copy / "data/08_reporting/comparison.html").read_text(encoding="utf-8")
    assert "2 trainings side by side" in page
    assert "All runs were trained on the same data." in page
    assert "Learning curves" in page

    result = kedro_run(copy, "--pipelines", "comparison", "--params", "runs=nonsense")
    assert result.exit_code == 1
    assert "runs: no run in the experiment begins with 'nonsense'" in result.output
