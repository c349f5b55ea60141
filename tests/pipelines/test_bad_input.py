"""Bad input gets one clear message and a non-zero exit, and nothing that was there is damaged."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import Result
from PIL import Image

from tests.conftest import TINY, kedro_run
from tests.support.ingestion_stage import Outcome, parameters_with, run_ingestion
from unetflow.core.errors import InputError

ENTRY = {"type": "unetflow.datasets.SourceDataset", "path": "mine", "layout": "folders"}


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """Return a user's folder with six good pairs."""
    folder = tmp_path / "mine"
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(6):
        mask = np.where(random.random((5, 6)) < 0.4, 255, 0).astype(np.uint8)
        mask = mask.repeat(8, axis=0).repeat(8, axis=1)
        noise = random.integers(0, 60, mask.shape)
        Image.fromarray((mask // 2 + noise).astype(np.uint8)).save(folder / f"images/{number}.png")
        Image.fromarray(mask).save(folder / f"masks/{number}.png")
    return folder


@pytest.fixture
def with_project(project: Path, mine: Path) -> Path:
    """Return the same folder in a project, for `kedro run`."""
    assert mine.parent == project
    (project / "conf/local/catalog.yml").write_text(yaml.safe_dump({"raw_pairs": ENTRY}))
    return mine


def _ingest(mine: Path, params: str = "", **sections: object) -> Outcome:
    return run_ingestion(mine.parent, ENTRY, params, **sections)


def _ingest_by_command(mine: Path) -> Result:
    return kedro_run(mine.parent, "--pipelines", "ingestion")


def _refused(result: Result | Outcome, *texts: str) -> None:
    assert result.exit_code == 1
    message = result.output[result.output.rindex("\nError: ") :]
    assert "Traceback" not in result.output
    for text in texts:
        assert text in message


def test_missing_and_empty_folders_are_named(with_project: Path) -> None:
    mine = with_project
    for path in (mine / "images").iterdir():
        path.unlink()
    _refused(_ingest(mine), str(mine / "images"), "there is no such folder, or it is empty")
    (mine / "images").rmdir()
    _refused(_ingest(mine), str(mine / "images"), "there is no such folder", "with files: masks")
    shutil.rmtree(mine)
    _refused(_ingest_by_command(mine), f"{mine}: there is no such folder or archive")


def test_image_without_mask_and_mask_without_image(mine: Path) -> None:
    (mine / "masks/2.png").unlink()
    (mine / "images/4.png").unlink()
    result = _ingest(mine)
    _refused(result, "images/2.png: there is no mask '2'", "masks/4.png: there is no image '4'")


def test_sizes_that_differ(mine: Path) -> None:
    Image.new("L", (30, 20)).save(mine / "masks/3.png")
    _refused(_ingest(mine), "masks/3.png", "the mask is 30 x 20, but its image is 48 x 40")


def test_unreadable_file(mine: Path) -> None:
    whole = (mine / "images/1.png").read_bytes()
    (mine / "images/1.png").write_bytes(whole[: len(whole) // 2])
    _refused(_ingest(mine), "images/1.png: the file cannot be decoded", "Export or copy it again")


def test_unusable_files_are_listed_with_the_reason_and_the_fix(with_project: Path) -> None:
    mine = with_project
    (mine / "masks/2.png").unlink()
    (mine / "images/1.png").write_bytes(b"")
    _refused(_ingest_by_command(mine), "2 of 6 entries cannot be used")
    listed = pd.read_csv(mine.parent / "data/02_intermediate/quarantine.csv")
    assert listed["path"].tolist() == [str(mine / "images/2.png"), str(mine / "images/1.png")]
    assert listed[["reason", "fix"]].notna().all(axis=None)


def test_a_run_continues_without_a_few_unusable_files(mine: Path) -> None:
    (mine / "masks/2.png").unlink()
    result = _ingest(mine, "ingestion.max_quarantined_fraction=0.2")
    assert result.exit_code == 0
    manifest = pd.read_parquet(mine.parent / "data/03_primary/manifest.parquet")
    assert "2" not in manifest["id"].tolist()


def test_constant_masks(mine: Path) -> None:
    for path in (mine / "masks").iterdir():
        Image.new("L", (48, 40)).save(path)
    _refused(_ingest(mine), "masks/0.png", "hold only the class 'background'")


def test_undeclared_mask_values_suggest_the_class(mine: Path) -> None:
    classes = [{"name": "background", "values": 0}, {"name": "nucleus", "values": 1}]
    result = _ingest(mine, classes=classes)
    _refused(result, "share of pixels by value", "Did you mean 255 -> nucleus?")


@pytest.mark.parametrize(
    ("classes", "text"),
    [
        ("[{name: a, values: 0}]", "not a list of classes"),
        ("[{name: a, value: 0}, {name: b, values: 1}]", "Did you mean 'values'"),
        ("[{name: a, values: 0}, {name: b, values: -1}]", "-1 is not a mask value"),
        ("[{name: a, values: 0}, {name: b, values: '#12'}]", "'#12' is not a mask value"),
        (
            "[{name: a, values: 0}, {name: b, values: [[1, 2, 256]]}]",
            "[1, 2, 256] is not a mask value",
        ),
        ("[{name: a, values: 0}, {name: b, values: '#ff0000'}]", "it mixes colours with 0"),
        ("[{name: a, values: 1}, {name: b, values: [0, 1]}]", "mask value '1' stands twice"),
        ("[{name: a, values: 1}, {name: a, values: rest}]", "the name 'a' stands twice"),
    ],
)
def test_wrong_classes(mine: Path, classes: str, text: str) -> None:
    _refused(_ingest(mine, classes=yaml.safe_load(classes)), "classes", text)


def test_too_few_pairs(mine: Path) -> None:
    for number in range(2, 6):
        (mine / f"images/{number}.png").unlink()
        (mine / f"masks/{number}.png").unlink()
    _refused(_ingest(mine), "only 2 annotated images can be used", "Give at least 3")


def test_odd_one_out_in_bit_depth(mine: Path) -> None:
    Image.fromarray(np.zeros((40, 48), np.uint16)).save(mine / "images/5.png")
    _refused(_ingest(mine), "images/5.png: it has 1 channels in uint16, while most images have")


def test_refused_data_leave_the_last_manifest_alone(mine: Path) -> None:
    assert _ingest(mine).exit_code == 0
    manifest = mine.parent / "data/03_primary/manifest.parquet"
    before = manifest.read_bytes()
    (mine / "masks/2.png").unlink()
    _refused(_ingest(mine), "there is no mask '2'")
    assert manifest.read_bytes() == before


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ("training.epoch=3", "training.epoch: there is no such parameter. Did you mean 'epochs'"),
        ("training.crop_size=100", "The nearest sizes that do are 96 and 104"),
        ("preset=sede", "presets.sede"),
        ("seeed=1,preset=seed,training.epoch=1", "several are wrong:\n  training.epoch"),
    ],
)
def test_wrong_parameters_stop_before_anything_runs(project: Path, params: str, text: str) -> None:
    _refused(kedro_run(project, "--params", params), text)
    assert not (project / "data").exists()


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ("presett=lean", "presett: there is no such parameter. Did you mean 'preset'"),
        ("training.epochs=0", "training.epochs: 0 is not allowed"),
        ("training.learning_rate=fast", "training.learning_rate: 'fast' is not allowed"),
        (
            "training.loss=bce + dise",
            "training.loss: there is no loss 'dise'. Did you mean 'dice'",
        ),
        (
            "training.class_weights=balance",
            "training.class_weights: 'balance' is not allowed",
        ),
        ("ingestion.split.test=0.9", "ingestion.split: validation and test together leave nothing"),
        ("model.padding=full", "model.padding: 'full' is not allowed"),
        ("augmentation.noise=2", "augmentation.noise: 2 is not allowed"),
    ],
)
def test_wrong_parameters_are_named(params: str, text: str) -> None:
    with pytest.raises(InputError) as caught:
        parameters_with(params)
    assert text in str(caught.value)


def test_a_stage_without_its_inputs_names_what_to_run(project: Path) -> None:
    result = kedro_run(project, "--pipelines", "evaluation", "--params", TINY)
    _refused(result, ".keras: the file is not there. Run the stage that writes it first")


def test_export_never_overwrites_the_data_of_the_user(with_project: Path) -> None:
    mine = with_project
    params = f"images={mine / 'images'},output={mine}"
    result = kedro_run(mine.parent, "--pipelines", "mask_export", "--params", params)
    _refused(result, f"{mine / 'masks'}: `masks` would overwrite your images or masks")


def test_folder_to_segment_is_checked_before_the_training(with_project: Path) -> None:
    mine = with_project
    result = kedro_run(mine.parent, "--params", TINY)
    _refused(
        result,
        "data/01_raw/demo/images: the folder or archive of the images to segment does not exist",
    )
    assert not (mine.parent / "data/02_intermediate").exists()


def test_unknown_pipeline_environment_and_broken_file(project: Path) -> None:
    _refused(kedro_run(project, "--pipelines", "trainig"), "trainig")
    _refused(kedro_run(project, "--env", "isbi2021"), "isbi2021")
    (project / "conf/local/catalog.yml").write_text("raw_pairs: {type: [}")
    _refused(kedro_run(project), "The configuration cannot be read", "catalog.yml")


def test_environment_variable_that_is_missing(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UNET_REAL_DATA", raising=False)
    _refused(kedro_run(project, "--env", "isbi2012"), "UNET_REAL_DATA", "it is not set")


def test_a_single_undeclared_value_is_an_error(mine: Path) -> None:
    mask = np.asarray(Image.open(mine / "masks/3.png")).copy()
    mask[0, 0] = 77
    Image.fromarray(mask).save(mine / "masks/3.png")
    classes = [{"name": "background", "values": 0}, {"name": "nucleus", "values": 255}]
    result = _ingest(mine, "ingestion.max_quarantined_fraction=1.0", classes=classes)
    _refused(result, "classes: what 1 of the masks hold is not declared", "masks/3.png", "77: 0.1%")
