"""Whole runs: the recipe of the paper, many classes, initial weights, and overfitting."""

import json
import shutil
from pathlib import Path

import keras
import mlflow
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.conftest import ROOT, TINY, kedro_run
from unetflow.inference.segmenter import Segmenter
from unetflow.io.formats.readers import read_image, read_mask

COLOURS = np.zeros((10, 3))
COLOURS[:4] = [30, 60, 200], [90, 90, 90], [200, 40, 30], [240, 240, 90]
SMALL_PAPER = (
    "preset=paper,model.base_filters=4,model.depth=2,training.crop_size=76,"
    "training.epochs=2,training.weight_map.border_width=4"
)
TO_THE_SEGMENTER = ("--pipelines", "training", "--to-nodes", "evaluation.finish_segmenter")


@pytest.mark.slow
def test_the_papers_recipe_runs_from_images_to_masks(project: Path) -> None:
    result = kedro_run(project, "--params", SMALL_PAPER)
    assert result.exit_code == 0, result.output
    manifest = pd.read_parquet(project / "data/03_primary/manifest.parquet").set_index("id")
    maps = {path.parent.name for path in project.glob("data/04_feature/weight_maps/*/weights.tif")}
    assert maps == set(manifest.index[manifest["split"] == "train"])
    segmenter = Segmenter.load(project / "data/06_models/segmenter.keras")
    assert segmenter.model.output_shape[-1] == 2
    assert 0 < segmenter.postprocessing.threshold < 1
    policy = (project / "data/05_model_input/augmentation_policy.yml").read_text()
    assert "ElasticGrid" in policy
    assert "Affine" in policy
    assert len(list((project / "data/07_model_output/masks").iterdir())) == 8
    again = kedro_run(project, "--nodes", "training.compute_weight_maps", "--params", SMALL_PAPER)
    assert "Computed 0 of" in " ".join(again.output.split())


@pytest.fixture
def streets(project: Path) -> Path:
    """A project with pictures of four classes, one of which is in a few pictures only."""
    random = np.random.default_rng(0)
    for number in range(10):
        label = np.zeros((40, 48), np.uint8)
        label[20:] = 1
        label[10:30, 8 * (number % 3) : 8 * (number % 3) + 12] = 2
        if number < 2:
            label[:8, 40:] = 3
        label[0, 0] = 9
        colours = np.array(
            [[30, 60, 200], [90, 90, 90], [200, 40, 30], [240, 240, 90]] + [[0] * 3] * 6
        )
        image = colours[label] + random.integers(-9, 9, (40, 48, 3))
        for folder, pixels in (("images", image.clip(0, 255)), ("masks", label)):
            path = project / "streets" / folder / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.astype(np.uint8)).save(path)
    (project / "conf/local/catalog.yml").write_text(
        "raw_pairs:\n  type: unetflow.datasets.SourceDataset\n  path: streets\n  layout: folders\n"
        "  images: images\n  masks: masks\n"
        "images_to_segment:\n  type: unetflow.datasets.ImageFolderDataset\n"
        "  path: streets/images\n"
    )
    (project / "conf/local/parameters.yml").write_text(
        "classes:\n"
        + "".join(
            f"  - {{name: {name}, values: {value}}}\n"
            for value, name in enumerate(("sky", "road", "car", "sign"))
        )
        + "ingestion: {masks: {ignore: [9]}, leakage: {duplicates: allow}}\n"
        "training: {loss: cce + dice, class_weights: balanced, foreground_fraction: 0.5}\n"
    )
    return project


@pytest.mark.slow
def test_many_classes_pass_the_whole_chain(streets: Path) -> None:
    result = kedro_run(streets, "--params", TINY + ",training.crops_per_image=8,training.epochs=12")
    assert result.exit_code == 0, result.output
    assert "of mean of 3 classes, mean over" in result.output
    scores = json.loads((streets / "data/08_reporting/metrics.json").read_text())["scores"]
    assert scores["dice_road"]["mean"] > 0.5
    assert 0.3 < scores["dice"]["mean"] <= 1
    assert "otsu_dice" not in scores
    table = pd.read_csv(streets / "data/08_reporting/image_scores.csv")
    assert {"dice_road", "dice_car"} <= set(table.columns)
    for name in ("masks/3.png", "overlays/3.png"):
        assert read_image(streets / "data/07_model_output" / name).shape == (40, 48, 3)
    label = read_mask(streets / "data/07_model_output/labels/3.tif")
    assert set(np.unique(label)) <= {0, 1, 2, 3}
    painted = read_image(streets / "data/07_model_output/masks/3.png")
    assert len(np.unique(painted.reshape(-1, 3), axis=0)) == len(np.unique(label))


@pytest.mark.slow
def test_deep_supervision_trains_more_outputs_and_keeps_the_networks_own(streets: Path) -> None:
    params = TINY + ",model.deep_supervision=1"
    result = kedro_run(streets, *TO_THE_SEGMENTER, "--params", params)
    assert result.exit_code == 0, result.output
    unet = keras.saving.load_model(streets / "data/06_models/unet_untrained.keras")
    assert unet.output_shape[-1] == 8
    segmenter = Segmenter.load(streets / "data/06_models/segmenter.keras")
    assert segmenter.model.output_shape[-1] == 4
    inner = segmenter.model.get_layer("U-Net")
    assert inner.output is inner.get_layer("probabilities").output
    image = read_image(streets / "streets/images/3.png")
    assert segmenter.predict(image).max() <= 3


def test_one_sigmoid_output_for_many_classes_is_refused(streets: Path) -> None:
    result = kedro_run(streets, "--pipelines", "training", "--params", TINY + ",model.head=sigmoid")
    assert result.exit_code == 1
    assert "model.head: 'sigmoid' gives the probability of one class" in result.output


@pytest.mark.slow
@pytest.mark.xdist_group("finished")
def test_a_training_begins_with_a_file_or_a_registered_model(copy: Path) -> None:
    construct = ("--pipelines", "construction", "--nodes", "construction.construct_unet")
    path = "data/06_models/segmenter.keras"
    shutil.copy(copy / path, copy / "before.keras")
    start = f"start_from={copy / 'before.keras'}"
    result = kedro_run(copy, *construct, "--params", f"{TINY},{start}")
    assert result.exit_code == 0, result.output
    assert "Copied the weights of" in " ".join(result.output.split())

    client = mlflow.MlflowClient(f"sqlite:///{copy / 'mlflow.db'}")
    client.set_registered_model_alias("unetflow", "champion", "1")
    start = "start_from=models:/unetflow@champion"
    result = kedro_run(copy, *construct, "--params", f"{TINY},{start}")
    assert result.exit_code == 0, result.output
    assert "models:/unetflow@champion to" in " ".join(result.output.split())

    result = kedro_run(copy, *construct, "--params", f"{TINY},start_from=nonsense.keras")
    assert result.exit_code == 1
    assert "start_from: there is no file" in result.output

    start = "start_from=models:/unetflow@nobody"
    result = kedro_run(copy, *construct, "--params", f"{TINY},{start}")
    assert result.exit_code == 1
    assert "start_from: there is no model models:/unetflow@nobody" in result.output


@pytest.mark.slow
def test_a_few_crops_are_overfitted_or_an_error_says_that_they_are_not(project: Path) -> None:
    shutil.copytree(ROOT / "conf/debug", project / "conf/debug", dirs_exist_ok=True)
    shutil.copy(project / "conf/local/catalog.yml", project / "conf/debug")
    small = "model.base_filters=8,model.depth=2,training.crop_size=32"
    run = ("--env", "debug", "--pipelines", "training", "--params")
    result = kedro_run(project, *run, small)
    assert result.exit_code == 0, result.output
    assert "Overfitted 4 crops" in " ".join(result.output.split())
    assert not list((project / "data/06_models").glob("*.keras"))
    for name in ("metrics.json", "model_card.json", "report.html"):
        assert not (project / "data/08_reporting" / name).exists()
        assert (project / "data/debug/08_reporting" / name).exists()
    result = kedro_run(project, *run, small + ",training.epochs=1,training.learning_rate=1e-9")
    assert result.exit_code == 1
    assert "something keeps the network from learning" in result.output


@pytest.mark.slow
def test_a_plan_fits_the_budget_and_keeps_given_values(project: Path) -> None:
    params = "preset=planned,budget.memory_gb=2,budget.minutes=1,model.base_filters=4"
    params += ",training.epochs=2,training.crops_per_image=1"
    result = kedro_run(project, *TO_THE_SEGMENTER, "--params", params)
    assert result.exit_code == 0, result.output
    plan = json.loads((project / "data/05_model_input/plan.json").read_text())
    assert plan["model"]["base_filters"] == 4
    assert plan["reasons"]["base_filters"] == "given"
    assert plan["training"]["crop_size"] <= 64
    assert plan["reasons"]["crop_size"].startswith("the largest size that fits")
    assert 0.5 < plan["memory_gb"] < 2
    history = pd.read_csv(project / "data/08_reporting/history.csv")
    assert len(history) == 2
    segmenter = Segmenter.load(project / "data/06_models/segmenter.keras")
    assert segmenter.settings.tile == plan["training"]["tile"]


@pytest.mark.slow  # measures the speed of the machine
def test_a_missing_or_too_small_budget_is_refused(project: Path) -> None:
    result = kedro_run(project, "--pipelines", "training", "--params", "preset=planned")
    assert result.exit_code == 1
    assert "budget.memory_gb: it is null, and model.depth, " in result.output
    params = "preset=planned,budget.minutes=1,budget.memory_gb=0.5"
    result = kedro_run(project, "--pipelines", "training", "--params", params)
    assert result.exit_code == 1
    assert "budget.memory_gb: 0.5 GB do not suffice" in result.output


@pytest.mark.xdist_group("finished")
def test_a_plan_for_other_parameters_is_refused(copy: Path) -> None:
    result = kedro_run(copy, "--pipelines", "evaluation", "--params", TINY + ",training.tile=64")
    assert result.exit_code == 1
    assert "training.tile: it is 64, but the plan of an earlier run" in result.output
    run = ("--pipelines", "training", "--from-nodes", "training.train_unet", "--params")
    result = kedro_run(copy, *run, TINY.replace("epochs=2", "epochs=3"))
    assert result.exit_code == 1
    assert "training.epochs: it is 3, but the plan" in result.output


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ("model.deep_supervision=2", "model.deep_supervision: a U-Net of depth 2"),
        ("training.weight_map.objects=cell", "training.weight_map.objects: there is no class"),
    ],
)
def test_contradicting_parameters_are_refused_before_anything_runs(
    project: Path, params: str, message: str
) -> None:
    result = kedro_run(project, "--pipelines", "construction", "--params", f"{TINY},{params}")
    assert result.exit_code == 1
    assert message in result.output


def test_a_start_model_in_a_parameter_file_is_refused(project: Path) -> None:
    (project / "conf/local/parameters.yml").write_text("start_from: a.keras\n")
    result = kedro_run(project, "--pipelines", "training", "--params", TINY)
    assert result.exit_code == 1
    assert "start_from: it is set in a parameter file" in result.output
