"""The life of a champion, with real processes, a real registry and networks that really learn.

    python -m tests.end_to_end

It makes a project with made-up nuclei in a temporary folder and goes through: the first model;
nothing new; 30 new pairs; 30 spoilt labels; a rollback; two retrainings at once; a process that is
killed at each moment of a promotion. It takes less than 10 minutes on two cores, and ends with a
table, or at the first failed check.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from time import monotonic
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import tifffile
import yaml

from tests.conftest import ROOT
from unetflow.data.synthetic import write_synthetic_images
from unetflow.inference.segmenter import Segmenter
from unetflow.orchestration.stages import STAGES, build_command
from unetflow.tracking.mlflow_runs import RUN_KEY

PAIRS, NEW = 24, 30
SIZE = 96
RETRAIN = [sys.executable, "-m", "unetflow", "--pipelines", "retraining"]
ROLL_BACK = [sys.executable, "-m", "unetflow", "--pipelines", "rollback"]
PARAMETERS = {
    "model": {"base_filters": 8, "depth": 2},
    "training": {"crop_size": 64, "crops_per_image": 4, "epochs": 12, "patience": 12},
}
ALWAYS_DUE = {"max_age_days": 1e-6, "start_from": "champion", "non_inferiority_margin": 0.05}
"""For the promotion that is killed: how good the challenger is does not matter there."""

KILLED_AT = """
import os, signal, sys
from mlflow import MlflowClient
method, call, moment = sys.argv[1], int(sys.argv[2]), sys.argv[3]
do, calls = getattr(MlflowClient, method), 0
def until_killed(*args, **options):
    global calls
    calls += 1
    if calls == call and moment == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    done = do(*args, **options)
    if calls == call and moment == "after":
        os.kill(os.getpid(), signal.SIGKILL)
    return done
setattr(MlflowClient, method, until_killed)
sys.argv[1:] = sys.argv[4:]
from unetflow.__main__ import main
main()
"""
"""Runs a stage, and kills it before or after a given call of a method of MLflow's client."""


class Story:
    """A project in a folder of its own, and what has happened to its champion."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.raw = folder / "data/01_raw/demo"
        self.rows: list[dict[str, Any]] = []
        self.client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
        shutil.copytree(ROOT / "conf", folder / "conf", ignore=shutil.ignore_patterns("local"))
        (folder / "conf/local").mkdir()
        pairs = {"type": "unetflow.datasets.SourceDataset", "path": "data/01_raw/demo"}
        self.configure("catalog", {"raw_pairs": {**pairs, "layout": "folders"}})
        self.configure("parameters", PARAMETERS)
        self.configure("globals", {"preset": "lean"})
        write_synthetic_images(self.raw, PAIRS, SIZE, seed=1)

    def configure(self, name: str, values: dict[str, Any]) -> None:
        """Write a file of the local configuration."""
        (self.folder / f"conf/local/{name}.yml").write_text(yaml.safe_dump(values))

    def start(self, command: list[str], key: str | None = None) -> subprocess.Popen[str]:
        """Start a process in the project's folder."""
        environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{self.folder}/mlflow.db"}
        if key:
            environment[RUN_KEY] = key
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, command: list[str], code: int = 0, key: str | None = None) -> str:
        """Run a process to its end and return what it printed."""
        with self.start(command, key) as process:
            output, _ = process.communicate()
        assert process.returncode == code, f"exit code {process.returncode}\n{output[-6000:]}"
        return output

    @property
    def aliases(self) -> dict[str, int]:
        """The versions that are champion and previous."""
        known = self.client.get_registered_model("unetflow").aliases
        return {alias: int(version) for alias, version in known.items()}

    @property
    def newest(self) -> int:
        """The newest version."""
        found = self.client.search_model_versions("name='unetflow'")
        return max(int(version.version) for version in found)

    @property
    def outcome(self) -> dict[str, Any]:
        """The outcome that the last retraining wrote for its caller."""
        outcome = json.loads((self.folder / "data/08_reporting/retraining.json").read_text())
        return dict(outcome)

    def predict(self) -> float:
        """Load the champion, segment an image, and return the foreground's share."""
        mlflow.set_tracking_uri(f"sqlite:///{self.folder}/mlflow.db")
        folder = Path(mlflow.artifacts.download_artifacts("models:/unetflow@champion"))
        (file,) = folder.rglob("*.keras")
        image = tifffile.imread(sorted((self.raw / "images").iterdir())[0])
        mask = Segmenter.load(file).predict(image)
        assert mask.shape == image.shape
        return float(np.mean(mask > 0))

    def report(self, step: str, began: float, *, decided: bool = True, note: str = "") -> None:
        """Check the champion, and add a row to the table."""
        assert 0 < self.predict() < 1
        known = self.outcome if decided else {}
        if decided:
            run = self.client.get_run(known["run_id"])
            assert run.info.status == "FINISHED"
            assert run.data.tags["decision"] == known["decision"]
        dice = known.get("dice", {})
        row = {
            "step": step,
            "decision": known.get("decision", ""),
            "reason": note or known.get("reason", ""),
            "champion": self.aliases["champion"],
            "previous": self.aliases.get("previous", ""),
            "Dice before": dice.get("champion"),
            "Dice": dice.get("challenger"),
            "seconds": round(monotonic() - began),
        }
        self.rows.append(row)
        print("  ".join(f"{name}: {value}" for name, value in row.items()), flush=True)


def first_model(story: Story) -> None:
    """Without a champion, any model is one."""
    began = monotonic()
    story.run(RETRAIN)
    assert story.aliases == {"champion": 1}
    assert story.outcome["reason"] == "it is the first model"
    story.report("first model", began)


def nothing_new(story: Story) -> None:
    """Without a reason nothing is trained."""
    began = monotonic()
    story.run(RETRAIN)
    assert story.outcome["decision"] == "skipped"
    assert story.aliases == {"champion": 1}
    story.report("nothing new", began)


def new_pairs(story: Story) -> None:
    """More training data give a better model."""
    began = monotonic()
    write_synthetic_images(story.raw, PAIRS + NEW, SIZE, seed=1)
    story.run(RETRAIN)
    assert story.outcome["decision"] == "promoted", story.outcome
    assert story.outcome["dice"]["interval"][0] > 0, "it is no better"
    assert story.outcome["trained_because"].startswith(f"{NEW} pairs are new")
    assert story.aliases == {"champion": 2, "previous": 1}
    story.report("30 new pairs", began)


def spoilt_labels(story: Story) -> None:
    """Training masks with nuclei and background exchanged give a worse model."""
    began = monotonic()
    manifest = pd.read_parquet(story.folder / "data/03_primary/manifest.parquet")
    training = sorted(manifest.loc[manifest["split"] == "train", "id"])[:NEW]
    assert len(training) == NEW
    right = {}
    for name in training:
        path = story.raw / "masks" / f"{name}.tif"
        right[path] = tifffile.imread(path)
        tifffile.imwrite(path, np.where(right[path] > 0, 0, right[path].max()).astype("uint16"))
    story.run(RETRAIN)
    assert story.outcome["decision"] == "kept", story.outcome
    assert story.outcome["dice"]["interval"][1] < 0, "it is no worse"
    assert story.outcome["trained_because"].startswith(f"{NEW} pairs are new")
    assert story.aliases == {"champion": 2, "previous": 1}
    for path, mask in right.items():
        tifffile.imwrite(path, mask)
    story.report("30 spoilt labels", began)


def rollback(story: Story) -> None:
    """Both aliases change places."""
    began = monotonic()
    story.run(ROLL_BACK)
    assert story.aliases == {"champion": 1, "previous": 2}
    story.report("rollback", began, decided=False, note="both aliases change places")


def two_at_once(story: Story) -> None:
    """One of them retrains, the other gives up, and the aliases move once."""
    began = monotonic()
    before = story.newest
    with story.start(RETRAIN) as first, story.start(RETRAIN) as second:
        outputs = [process.communicate()[0] for process in (first, second)]
    assert sorted([first.returncode, second.returncode]) == [0, 1], outputs
    loser = outputs[0] if first.returncode else outputs[1]
    assert "another retraining or rollback is running" in " ".join(loser.split())
    assert story.outcome["decision"] == "promoted", story.outcome
    assert story.aliases == {"champion": before + 1, "previous": 1}
    story.report("two at once", began, note=f"one gave up; the other: {story.outcome['reason']}")


def killed_promotion(story: Story) -> None:
    """Whenever it is killed, there is a champion, and the stage can be repeated."""
    story.configure("parameters", {**PARAMETERS, "retraining": ALWAYS_DUE})
    moments = [
        ("evaluation", "create_registered_model", 1, "before"),
        ("evaluation", "update_model_version", 1, "before"),
        ("decision", "set_registered_model_alias", 1, "before"),
        ("decision", "set_registered_model_alias", 1, "after"),
        ("decision", "set_registered_model_alias", 2, "after"),
    ]
    before = story.aliases["champion"]
    for stage in ("ingestion", "gate", "preparation", "training"):
        story.run(build_command(stage), key="killed")
    evaluated = False
    for stage, method, call, moment in moments:
        began = monotonic()
        if stage == "decision" and not evaluated:
            story.run(build_command("evaluation"), key="killed")
            evaluated = True
        killer = [sys.executable, "-c", KILLED_AT, method, str(call), moment]
        story.run([*killer, *build_command(stage)[3:]], code=-signal.SIGKILL, key="killed")
        moved = (stage, call, moment) == ("decision", 2, "after")
        assert (story.aliases["champion"] != before) == moved
        note = f"{moment} call {call} of {method}"
        story.report("killed promotion", began, decided=False, note=note)
    began = monotonic()
    story.run(build_command("decision"), key="killed")
    assert story.outcome["decision"] == "promoted", story.outcome
    assert story.aliases == {"champion": story.newest, "previous": before}
    assert len(story.client.search_runs(["1"], "tags.orchestrator_run = 'killed'")) == 1
    story.report("repeated after it", began)

    began = monotonic()
    roll_back = ["set_registered_model_alias", "2", "after", "--pipelines", "rollback"]
    story.run([sys.executable, "-c", KILLED_AT, *roll_back], code=-signal.SIGKILL)
    assert story.aliases["champion"] == before
    story.configure("parameters", PARAMETERS)
    story.run(ROLL_BACK)
    assert story.aliases == {"champion": story.newest, "previous": before}
    story.report("killed rollback", began, decided=False, note="the next one reverts it")
    began = monotonic()
    story.run(RETRAIN)
    assert story.outcome["decision"] == "skipped"
    story.report("nothing new", began)


def main() -> None:
    """Run all chapters."""
    began = monotonic()
    assert list(STAGES)[-2:] == ["evaluation", "decision"]
    with tempfile.TemporaryDirectory() as folder:
        story = Story(Path(folder))
        for chapter in (
            first_model,
            nothing_new,
            new_pairs,
            spoilt_labels,
            rollback,
            two_at_once,
            killed_promotion,
        ):
            chapter(story)
    table = pd.DataFrame(story.rows).round(3).astype(object).fillna("")
    print(table.to_string(index=False))
    print(f"{monotonic() - began:.0f} seconds in all")


if __name__ == "__main__":
    main()
