import json
import re
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import tifffile
import yaml
from click.testing import Result
from PIL import Image

from tests.conftest import kedro_run
from unetflow.io.formats.readers import read_image, read_mask
from unetflow.models.device import describe_device

pytestmark = pytest.mark.xdist_group("finished")  # one process makes the run that all look at

Finished = tuple[Path, Result]


@pytest.fixture
def client(finished: Finished) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(f"sqlite:///{finished[0] / 'mlflow.db'}")


@pytest.fixture
def run(client: mlflow.MlflowClient) -> mlflow.entities.Run:
    experiment = client.get_experiment_by_name("unetflow")
    return client.search_runs([experiment.experiment_id], order_by=["start_time"])[0]


def test_the_closing_lines_name_scores_masks_and_the_command(finished: Finished) -> None:
    output = finished[1].output
    assert re.search(r"Scores: (No better than [\w' ]+: )?Dice 0\.", output)
    assert "Otsu's threshold: Dice 0." in output
    assert "Masks: data/07_model_output/masks" in output
    assert re.search(r"\nCounts: 8 images, [\d,]+ objects? of class 'nucleus', \d", output)
    assert "\nReport: data/08_reporting/report.html" in output
    assert re.search(
        r"Compare runs: \S*mlflow ui --backend-store-uri sqlite:///mlflow.db\n", output
    )


def test_masks_have_the_size_and_name_of_their_images(finished: Finished) -> None:
    data = finished[0] / "data"
    images = sorted((data / "01_raw/demo/images").iterdir())
    assert len(images) == 8
    for image in images:
        shown = np.asarray(Image.open(data / f"07_model_output/masks/{image.stem}.png"))
        label = read_mask(data / f"07_model_output/labels/{image.stem}.tif")
        overlay = read_image(data / f"07_model_output/overlays/{image.stem}.png")
        assert shown.shape == label.shape == overlay.shape[:2] == read_image(image).shape[:2]
        assert set(np.unique(shown)) <= {0, 255}
        np.testing.assert_array_equal(shown, label * 255)


def test_metrics_carry_their_definitions_and_agree_with_the_images(finished: Finished) -> None:
    reporting = finished[0] / "data/08_reporting"
    metrics = json.loads((reporting / "metrics.json").read_text())
    scores = pd.read_csv(reporting / "image_scores.csv")
    manifest = pd.read_parquet(finished[0] / "data/03_primary/manifest.parquet")
    assert set(scores["id"]) == set(manifest.loc[manifest["split"] == "test", "id"])
    assert metrics["test_images"] == len(scores)
    for name, score in metrics["scores"].items():
        assert score["mean"] == pytest.approx(scores[name].mean())
        assert "nucleus" in score["definition"]


@pytest.mark.parametrize(
    "picture",
    [
        "gallery",
        "learning_curve",
        "augmentation_preview",
        "unet_drawing",
        "suspicious_labels",
        "threshold",
        "errors",
    ],
)
def test_figures_are_not_empty(finished: Finished, picture: str) -> None:
    pixels = np.asarray(Image.open(finished[0] / f"data/08_reporting/{picture}.png").convert("L"))
    assert min(pixels.shape) > 200
    assert pixels.std() > 10


def test_threshold_is_the_best_of_the_validation_images(finished: Finished) -> None:
    reporting = finished[0] / "data/08_reporting"
    curve = pd.read_csv(reporting / "threshold_curve.csv")
    chosen = json.loads((reporting / "metrics.json").read_text())["threshold"]
    nearest = (curve["threshold"] - chosen).abs().idxmin()
    assert curve["threshold"][nearest] == pytest.approx(chosen)
    assert curve["validation_dice"][nearest] == pytest.approx(curve["validation_dice"].max())


def test_calibration_is_no_worse_than_before(finished: Finished) -> None:
    reporting = finished[0] / "data/08_reporting"
    calibration = json.loads((reporting / "calibration.json").read_text())
    loss = {w: calibration[w]["negative_log_likelihood"] for w in ("before", "after")}
    assert loss["after"] <= loss["before"]
    for when in ("before", "after"):
        assert sum(b["pixels"] for b in calibration[when]["bins"]) == calibration["pixels"]


def test_each_test_image_has_a_map_and_a_place_in_the_order_of_review(finished: Finished) -> None:
    data = finished[0] / "data"
    scores = pd.read_csv(data / "08_reporting/image_scores.csv", dtype={"id": str})
    review = pd.read_csv(data / "08_reporting/needs_review.csv", dtype={"id": str})
    assert sorted(review["id"]) == sorted(scores["id"])
    assert review["expected_error"].is_monotonic_decreasing
    dice = scores.set_index("id")["dice"][review["id"]]
    assert (1 - review["error"]).tolist() == pytest.approx(dice.tolist())
    assert json.loads((data / "08_reporting/review_check.json").read_text())["views"] == 4
    for sample_id in review["id"]:
        spread = tifffile.imread(data / f"07_model_output/uncertainty/{sample_id}.tif")
        assert (spread.dtype, spread.shape) == (np.float32, (64, 64))
        assert 0 < spread.max() < 1


def test_the_network_is_compared_with_baselines_on_the_same_images(finished: Finished) -> None:
    reporting = finished[0] / "data/08_reporting"
    compared = json.loads((reporting / "baseline_comparison.json").read_text())["baselines"]
    scores = pd.read_csv(reporting / "image_scores.csv")
    names = ["finding nothing", "finding everything", "Otsu's threshold"]
    assert [other["name"] for other in compared] == names
    for other, column in zip(compared[::2], ("background_dice", "otsu_dice"), strict=True):
        expected = (scores["dice"] - scores[column]).mean()
        assert other["mean_difference"] == pytest.approx(expected)
        assert other["images"] == other["groups"] == len(scores)
    page = (reporting / "report.html").read_text()
    assert "Dice of baselines on the same test images" in page
    assert "rank correlation of the expected with the true error" in page or len(scores) < 3


def test_suspicious_labels_are_of_training_images(finished: Finished) -> None:
    listed = pd.read_csv(finished[0] / "data/08_reporting/suspicious_labels.csv")
    assert listed.columns.tolist() == ["id", "loss", "z_score", "dice", "mask_file"]
    manifest = pd.read_parquet(finished[0] / "data/03_primary/manifest.parquet")
    assert set(listed["id"]) <= set(manifest.loc[manifest["split"] == "train", "id"])


def test_run_logs_parameters_tags_and_artifacts(
    client: mlflow.MlflowClient, run: mlflow.entities.Run, finished: Finished
) -> None:
    fingerprint = json.loads((finished[0] / "data/03_primary/fingerprint.json").read_text())
    assert run.info.status == "FINISHED"
    assert run.data.params["training.epochs"] == "2"
    assert run.data.params["ingestion.split.strategy"] == "random"
    assert run.data.tags["data_digest"] == fingerprint["digest"]
    assert {path.path for path in client.list_artifacts(run.info.run_id)} >= {
        "augmentation_policy.yml",
        "gallery.png",
        "learning_curve.png",
        "manifest.parquet",
        "metrics.json",
        "model_card.json",
        "quarantine.csv",
        "report.html",
    }


def test_report_and_model_card_describe_this_run(
    run: mlflow.entities.Run, finished: Finished
) -> None:
    from unetflow.models.unet import build_unet

    reporting = finished[0] / "data/08_reporting"
    card = json.loads((reporting / "model_card.json").read_text())
    report = (reporting / "report.html").read_text()
    metrics = json.loads((reporting / "metrics.json").read_text())
    scores = pd.read_csv(reporting / "image_scores.csv")
    assert card["run"]["mlflow_run"] == run.info.run_id
    assert card["run"]["command"] == run.data.tags["command"]
    assert card["run"]["device"]
    assert card["data"]["digest"] == run.data.tags["data_digest"]
    unet = build_unet((None, None, 1), base_filters=4, depth=2)
    assert card["weights"] == unet.count_params()
    assert f"<b>{metrics['scores']['dice']['mean']:.3f}</b>" in report
    for known in (*scores["id"], *run.data.params, card["run"]["mlflow_run"]):
        assert known in report


def test_run_logs_each_epoch_once(
    client: mlflow.MlflowClient, run: mlflow.entities.Run, finished: Finished
) -> None:
    history = pd.read_csv(finished[0] / "data/08_reporting/history.csv")
    for name in ("loss", "dice", "val_loss", "val_dice"):
        logged = client.get_metric_history(run.info.run_id, name)
        assert [metric.step for metric in logged] == [1, 2]
        assert [metric.value for metric in logged] == pytest.approx(history[name].tolist())


def test_run_knows_its_data_set_its_preset_and_its_device(
    run: mlflow.entities.Run, finished: Finished
) -> None:
    (used,) = run.inputs.dataset_inputs
    assert used.dataset.name == "demo"
    assert len(used.dataset.digest) == 36
    assert run.data.tags["data_digest"].startswith(used.dataset.digest)
    assert json.loads(used.dataset.source)["uri"].endswith("data/01_raw/demo")
    assert {tag.key: tag.value for tag in used.tags} == {"mlflow.data.context": "training"}
    assert run.data.tags["preset"] == "lean"
    assert run.data.tags["device"] == describe_device()


def test_run_shows_a_validation_image_with_its_truth_and_its_prediction(
    client: mlflow.MlflowClient, run: mlflow.entities.Run, finished: Finished
) -> None:
    manifest = pd.read_parquet(finished[0] / "data/03_primary/manifest.parquet")
    validation = manifest[manifest["split"] == "validation"]
    pictures = [file.path for file in client.list_artifacts(run.info.run_id, "images")]
    shown = [path for path in pictures if path.endswith(".png")]
    assert {path.split("+")[0] for path in shown} == {
        f"images/validation~{name}" for name in validation["id"][:3]
    }
    assert {path.split("+step+")[1].split("+")[0] for path in shown} == {"1"}
    picture = np.asarray(Image.open(client.download_artifacts(run.info.run_id, shown[0])))
    assert picture.shape == (64, 64 + 4 + 64, 3)


def test_finished_model_is_registered_with_its_scores_and_its_run(
    client: mlflow.MlflowClient, run: mlflow.entities.Run, finished: Finished
) -> None:
    version = client.get_model_version("unetflow", "1")
    assert version.run_id == run.info.run_id
    assert version.aliases == []
    scores = finished[1].output.partition("Scores: ")[2].splitlines()[0]
    assert version.description.startswith(scores)
    assert f"(#/experiments/{run.info.experiment_id}/runs/{run.info.run_id})" in version.description
    folder = next((finished[0] / "mlruns/models").iterdir()) / "artifacts"
    described = mlflow.models.Model.load(str(folder))
    assert described.metadata["input"].startswith("(batch, height, width, 1) uint16, or")
    assert described.metadata["classes"] == ["background", "nucleus"]
    assert described.signature.outputs.inputs[0].shape == (-1, -1, -1)
    assert described.saved_input_example_info is not None


@pytest.mark.process
def test_logged_model_predicts_in_a_fresh_process(finished: Finished) -> None:
    folder = finished[0]
    model = next((folder / "mlruns/models").iterdir()) / "artifacts"
    image = next((folder / "data/01_raw/demo/images").iterdir())
    code = f"""
import sys
import mlflow, numpy as np, tifffile
mlflow.set_tracking_uri("sqlite:///{folder / "mlflow.db"}")
image = tifffile.imread({str(image)!r})
mask = mlflow.pyfunc.load_model({str(model)!r}).predict(image[np.newaxis, :, :, np.newaxis])
np.save({str(folder / "fresh.npy")!r}, mask[0])
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=folder, capture_output=True)
    exported = read_mask(folder / f"data/07_model_output/labels/{image.stem}.tif")
    np.testing.assert_array_equal(np.load(folder / "fresh.npy"), exported)


def test_policy_is_stored_as_plain_data(finished: Finished) -> None:
    path = finished[0] / "data/05_model_input/augmentation_policy.yml"
    policy = yaml.safe_load(path.read_text())
    assert {step["transform"] for step in policy} >= {"HorizontalFlip", "ElasticField"}


@pytest.mark.slow
def test_export_runs_alone_skips_a_broken_image_and_names_it(
    finished: Finished, client: mlflow.MlflowClient, tmp_path: Path
) -> None:
    runs = len(_runs(client))
    Image.fromarray(np.full((33, 70), 900, np.uint16)).save(tmp_path / "odd name.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    Image.new("RGB", (40, 40)).save(tmp_path / "colour.png")
    params = f"images={tmp_path},output={tmp_path / 'out'}"
    result = kedro_run(finished[0], "--pipelines", "mask_export", "--params", params)
    assert result.exit_code == 1
    assert "broken.png: the file cannot be decoded" in result.output
    assert (
        "colour: image of shape (40, 40, 3): the model was trained on 1 channels" in result.output
    )
    assert [path.name for path in (tmp_path / "out/masks").iterdir()] == ["odd name.png"]
    assert read_mask(tmp_path / "out/masks/odd name.png").shape == (33, 70)
    failed = pd.read_csv(tmp_path / "out/failed.csv")
    assert failed["image"].tolist() == ["broken", "colour"]
    assert failed["reason"].str.contains("trained on 1 channels").tolist() == [False, True]
    assert len(_runs(client)) == runs + 1


def _runs(client: mlflow.MlflowClient) -> list[mlflow.entities.Run]:
    return client.search_runs([client.get_experiment_by_name("unetflow").experiment_id])
