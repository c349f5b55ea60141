"""Retrainings on a tiny demo: the first one, without a reason, and with one."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import mlflow
import numpy as np
import pandas as pd
import pytest
import tifffile
from click.testing import CliRunner
from filelock import FileLock

from tests.conftest import TINY, kedro_run
from tests.support.images import store_samples
from unetflow.cli import SKIPPED_CODE, run
from unetflow.core.errors import InputError
from unetflow.data.samples import Sample
from unetflow.datasets.champion import ChampionRecord
from unetflow.evaluation.charged import YardstickComparison
from unetflow.inference.postprocessing import Postprocessing
from unetflow.pipeline_registry import register_pipelines
from unetflow.pipelines.retraining.pipeline import look_for_reason, show_differences
from unetflow.pipelines.retraining.runner import SKIPPED

RETRAINING = ("--pipelines", "retraining", "--params")
pytestmark = pytest.mark.xdist_group("finished")


def client_of(project: Path) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(f"sqlite:///{project / 'mlflow.db'}")


def aliases(project: Path) -> dict[str, str]:
    known = client_of(project).get_registered_model("unetflow").aliases
    return {alias: str(version) for alias, version in known.items()}


def latest(project: Path) -> str:
    """Return the newest version; how many others there are depends on other tests."""
    versions = client_of(project).search_model_versions("name='unetflow'")
    return str(max(int(version.version) for version in versions))


def outcome(project: Path) -> dict:
    return json.loads((project / "data/08_reporting/retraining.json").read_text())


@pytest.fixture
def with_champion(copy: Path) -> Path:
    client_of(copy).set_registered_model_alias("unetflow", "champion", "1")
    return copy


def add_pairs(project: Path, count: int) -> None:
    """Add pairs that resemble the first ones of the demo."""
    raw = project / "data/01_raw/demo"
    for number in range(count):
        for kind in ("images", "masks"):
            source = sorted((raw / kind).iterdir())[number]
            pixels = np.flipud(tifffile.imread(source)) if source.suffix == ".tif" else None
            assert pixels is not None
            tifffile.imwrite(source.with_name(f"new{number}{source.suffix}"), pixels)


@pytest.fixture
def better(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the networks of two epochs pass for better than Otsu's threshold, which they are not."""
    monkeypatch.setattr(YardstickComparison, "is_better", True)


@pytest.mark.slow
@pytest.mark.usefixtures("better")
def test_first_model_becomes_the_champion(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    history = pd.read_csv(copy / "data/08_reporting/history.csv")
    monkeypatch.setattr("unetflow.training.fit.fit", lambda *_, **__: history)
    result = kedro_run(copy, *RETRAINING, TINY)
    assert result.exit_code == 0, result.output
    assert aliases(copy) == {"champion": latest(copy)}
    recorded = outcome(copy)
    assert (recorded["decision"], recorded["reason"]) == ("promoted", "it is the first model")
    run = client_of(copy).get_run(recorded["run_id"])
    assert run.data.tags["decision"] == "promoted"
    assert run.info.status == "FINISHED"
    assert client_of(copy).get_model_version("unetflow", latest(copy)).run_id == recorded["run_id"]


def test_the_champion_changes_after_all_that_look_at_it() -> None:
    whole = register_pipelines()["retraining"]
    before = whole.to_nodes("decision.promote").nodes
    for entry in ("champion", "champion_record", "champion_scores"):
        assert set(whole.only_nodes_with_inputs(entry).nodes) <= set(before)


@pytest.mark.slow
def test_without_new_data_a_retraining_is_skipped_and_succeeds(with_champion: Path) -> None:
    result = kedro_run(with_champion, *RETRAINING, TINY)
    assert result.exit_code == 0, result.output
    assert "Retraining: skipped, 0 pairs are new since version 1" in result.output
    assert "ERROR" not in result.output
    assert "failed" not in result.output
    recorded = outcome(with_champion)
    assert recorded["decision"] == "skipped"
    run = client_of(with_champion).get_run(recorded["run_id"])
    assert (run.info.status, run.data.tags["decision"]) == ("FINISHED", "skipped")
    assert run.data.tags["reason"].startswith("0 pairs are new")
    assert aliases(with_champion) == {"champion": "1"}


@pytest.mark.slow
def test_first_model_that_is_no_better_than_otsu_is_kept_out(copy: Path) -> None:
    result = kedro_run(copy, *RETRAINING, TINY + ",training.learning_rate=1e-9")
    assert result.exit_code == 0, result.output
    assert aliases(copy) == {}
    recorded = outcome(copy)
    assert recorded["decision"] == "kept"
    assert recorded["reason"].startswith("the model is no better than ")
    assert "Scores: No better than " in result.output
    version = client_of(copy).get_model_version("unetflow", latest(copy))
    assert version.description.startswith("No better than ")
    report = (copy / "data/08_reporting/report.html").read_text("utf-8")
    summary = report[report.index('<section id="summary"') :]
    assert summary.index("No better than") < summary.index("A U-Net with")
    card = json.loads((copy / "data/08_reporting/model_card.json").read_text("utf-8"))
    assert "do not use this model" in card["verdict"]
    run = client_of(copy).get_run(recorded["run_id"])
    assert run.data.tags["beats_yardsticks"] == "False"


@pytest.mark.slow
@pytest.mark.usefixtures("better")
def test_challenger_is_promoted_if_it_may_be_worse_rolled_back_and_kept_if_it_may_not(
    with_champion: Path,
) -> None:
    easy = "retraining.max_age_days=0.000001,retraining.non_inferiority_margin=1.0"
    easy += ",retraining.max_regression=1.0,retraining.start_from=champion"
    same = f"{TINY},training.learning_rate=1e-9"  # as the champion
    result = kedro_run(with_champion, *RETRAINING, f"{same},{easy}")
    assert result.exit_code == 0, result.output
    assert "Copied the weights of" in " ".join(result.output.split())
    new = latest(with_champion)
    assert aliases(with_champion) == {"champion": new, "previous": "1"}
    recorded = outcome(with_champion)
    assert recorded["decision"] == "promoted"
    assert recorded["trained_because"].startswith("the champion is 0 days old")
    assert recorded["dice"]["difference"] == pytest.approx(
        recorded["dice"]["challenger"] - recorded["dice"]["champion"]
    )
    run = client_of(with_champion).get_run(recorded["run_id"])
    logged = {a.path for a in client_of(with_champion).list_artifacts(run.info.run_id)}
    assert {"differences.png", "retraining_decision.json"} <= logged

    first, second = {"champion": "1", "previous": new}, {"champion": new, "previous": "1"}
    roll_back(with_champion, first)
    assert outcome(with_champion) == recorded  # a rollback is no retraining

    strict = f"{same},retraining.non_inferiority_margin=0.0"
    result = kedro_run(with_champion, *RETRAINING, strict, "--from-nodes", "decision.decide")
    assert result.exit_code == 0, result.output
    assert outcome(with_champion)["decision"] == "kept"
    assert aliases(with_champion) == first
    roll_back(with_champion, second)


def roll_back(project: Path, expected: dict[str, str]) -> None:
    result = kedro_run(project, "--pipelines", "rollback")
    assert result.exit_code == 0, result.output
    assert aliases(project) == expected


@pytest.mark.slow
def test_enough_new_pairs_are_a_reason(with_champion: Path) -> None:
    add_pairs(with_champion, 2)
    params = f"{TINY},retraining.min_new_labelled=2,ingestion.leakage.duplicates=allow"
    result = kedro_run(with_champion, *RETRAINING, params, "--to-nodes", "gate.look_for_reason")
    reason = json.loads((with_champion / "data/08_reporting/retraining_reason.json").read_text())
    assert reason["due"], result.output
    assert reason["reason"] == "2 pairs are new or changed, and 2 are enough"


@pytest.mark.slow
def test_rollback_without_a_previous_champion_says_so(with_champion: Path) -> None:
    result = kedro_run(with_champion, "--pipelines", "rollback")
    assert result.exit_code == 1
    assert "there is no previous champion to go back to" in result.output
    assert aliases(with_champion) == {"champion": "1"}


@pytest.mark.slow
def test_a_second_retraining_is_refused_while_one_is_running(with_champion: Path) -> None:
    with FileLock(with_champion / "data/08_reporting/retraining.lock"):
        result = kedro_run(with_champion, *RETRAINING, TINY)
    assert result.exit_code == 1
    assert "another retraining or rollback is running in this folder" in result.output
    assert not (with_champion / "data/08_reporting/retraining.json").exists()


@pytest.mark.slow
def test_a_test_image_among_new_training_data_is_refused_and_reported(
    with_champion: Path,
) -> None:
    manifest = pd.read_parquet(with_champion / "data/03_primary/manifest.parquet")
    tested = Path(manifest.loc[manifest["split"] == "test", "image_file"].iloc[0]).name
    for kind in ("images", "masks"):
        folder = with_champion / "data/01_raw/demo" / kind
        for number in range(8):  # most of them are dealt to the training split
            shutil.copy(folder / tested, folder / f"copy{number}.tif")
    params = f"{TINY},ingestion.leakage.duplicates=allow"
    result = kedro_run(with_champion, *RETRAINING, params)
    assert result.exit_code == 1
    assert "champion's test image" in result.output
    recorded = outcome(with_champion)
    assert recorded["decision"] == "failed"
    assert tested in recorded["reason"]
    assert client_of(with_champion).get_run(recorded["run_id"]).info.status == "FAILED"
    assert aliases(with_champion) == {"champion": "1"}


@pytest.mark.parametrize(("written", "code"), [(None, 0), ("99", 99), ("0", 0)])
def test_the_exit_code_of_a_skipped_run_can_be_chosen(monkeypatch, written, code):
    monkeypatch.delenv(SKIPPED_CODE, raising=False)
    if written is not None:
        monkeypatch.setenv(SKIPPED_CODE, written)
    monkeypatch.setattr("unetflow.cli.kedro_run.callback", lambda **options: {SKIPPED: None})
    assert CliRunner().invoke(run, ["--pipelines", "retraining"]).exit_code == code


@pytest.mark.parametrize("written", ["none", "256", "-1"])
def test_a_wrong_exit_code_of_skipped_runs_is_refused(monkeypatch, written):
    monkeypatch.setenv(SKIPPED_CODE, written)
    monkeypatch.setattr("unetflow.cli.kedro_run.callback", lambda **options: {SKIPPED: None})
    result = CliRunner().invoke(run, ["--pipelines", "retraining"])
    assert result.exit_code == 1
    assert f"{SKIPPED_CODE}: {written!r} is not an exit code" in " ".join(result.output.split())


class _Counting:
    """A segmenter that finds nothing and counts how often it is asked."""

    settings = SimpleNamespace(classes=["background", "nucleus"])
    postprocessing = Postprocessing(threshold=0.5)

    def __init__(self) -> None:
        self.asked = 0

    def predict(self, image: np.ndarray) -> np.ndarray:
        self.asked += 1
        return np.zeros(image.shape[:2], np.uint8)


@pytest.mark.parametrize(("version", "compared"), [("2", 1), ("3", 0), ("12", 0)])
def test_only_the_champion_of_the_decision_is_drawn_beside_the_challenger(
    tmp_path, version, compared
):
    image = np.zeros((8, 8, 1), np.uint8)
    _, samples = store_samples(tmp_path, {"a": Sample(image, np.zeros((8, 8), np.uint8))})
    rows = [{"id": "a", "challenger": 0.9, "champion": 0.8}]
    challenger, champion = _Counting(), _Counting()
    figure, shown = show_differences(
        {"champion": "2", "most_different": rows},
        challenger,
        (f"unetflow version {version}", champion),
        samples,
    )
    assert (challenger.asked, champion.asked, shown) == (1, compared, ["a"])
    titles = " ".join(axes.get_title() for axes in figure.axes)
    assert ("0.800 -> 0.900" in titles) == bool(compared)


def test_new_meaning_under_an_old_name_is_refused_before_anything_is_trained():
    before = pd.DataFrame(
        {
            "image_file": ["a.png"],
            "image_sha256": ["1"],
            "mask_sha256": ["1m"],
            "pixel_digest": ["p1"],
            "split": ["train"],
            "fraction_background": [0.9],
            "fraction_cell": [0.1],
        }
    )
    swapped = before.assign(fraction_background=0.1, fraction_cell=0.9)
    record = ChampionRecord("unetflow", "1", datetime.now(UTC), before, {}, lambda: None)
    rest = (None, swapped, None, None, None)
    with pytest.raises(InputError, match=r"'cell' covers 90\.0% .* and 10\.0% when the champion"):
        look_for_reason(record, *rest)
