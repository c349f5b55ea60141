"""Two evaluated runs of one project, side by side."""

from pathlib import Path

import pytest

from tests.conftest import TINY, kedro_run

pytestmark = pytest.mark.slow


@pytest.mark.xdist_group("finished")
def test_latest_two_evaluated_runs_are_compared(copy: Path) -> None:
    result = kedro_run(copy, "--pipelines", "evaluation", "--params", TINY)
    assert result.exit_code == 0, result.output
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
