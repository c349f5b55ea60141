"""How long the ingestion of the Data Science Bowl 2018 takes, beside a loop that only decodes.

    UNET_REAL_DATA=/path python benchmarks/ingestion.py --rounds 3 --json ingestion.json

Both read the same 30,131 PNG files out of the same archive. The loop decodes them with Pillow and
throws them away; the ingestion is the whole process `kedro run --pipelines ingestion`, start-up,
samples, checks, report and tracking included. Rounds alternate, so that a busy machine slows both;
the table has medians.
"""

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import psutil

PROJECT = Path(__file__).parent.parent
ARCHIVE = Path("dsb2018") / "stage1_train.zip"


def time_decoding(archive: Path) -> float:
    """Return the seconds that a bare loop takes to decode all PNG files, on one core."""
    import numpy as np
    from PIL import Image

    started = time.perf_counter()
    with zipfile.ZipFile(archive) as opened:
        for name in opened.namelist():
            if name.endswith(".png"):
                with opened.open(name) as file, Image.open(file) as image:
                    np.asarray(image)
    return time.perf_counter() - started


def time_kedro(project: Path, cores: int, *arguments: str) -> tuple[float, float]:
    """Run Kedro on some cores; return the seconds, and the peak of the memory in MB."""
    command = [sys.executable, "-m", "kedro", *arguments]
    all_cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(all_cores)[:cores])  # the child inherits it
    started = time.perf_counter()
    process = psutil.Popen(command, cwd=project, stdout=subprocess.DEVNULL)
    most = 0
    while process.poll() is None:
        most = max(most, measure_memory(process))
        time.sleep(0.5)  # looking takes time itself
    seconds = time.perf_counter() - started
    os.sched_setaffinity(0, all_cores)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed; run it by hand in {PROJECT}")
    return seconds, most / 2**20


def measure_memory(process: psutil.Process) -> int:
    """Return the bytes that a process and those that it has started hold in memory together."""
    memory = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        for one in (process, *process.children(recursive=True)):
            memory += one.memory_info().rss
    return memory


def run_round(archive: Path, project: Path) -> dict[str, float]:
    """Measure everything once."""
    ingestion = ("run", "--env", "dsb2018", "--pipelines", "ingestion")
    trivial = ("run", "--env", "dsb2018", "--nodes", "augmentation.write_policy")
    measured = {"decoding_loop_s": time_decoding(archive)}
    for cores in (1, 2):
        shutil.rmtree(project / "data", ignore_errors=True)
        seconds, memory = time_kedro(project, cores, *ingestion)
        measured[f"ingestion_{cores}_core_s"] = seconds
        measured[f"peak_memory_{cores}_core_mb"] = memory
    measured["second_run_s"], measured["second_run_memory_mb"] = time_kedro(project, 2, *ingestion)
    measured["kedro_start_s"], _ = time_kedro(project, 2, *trivial)
    return measured


def main() -> None:
    """Measure, print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    archive = Path(os.environ["UNET_REAL_DATA"]) / ARCHIVE
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        for name in ("conf", "src"):
            shutil.copytree(PROJECT / name, project / name)
        for name in ("pyproject.toml", ".telemetry"):
            shutil.copy(PROJECT / name, project / name)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{project}/mlflow.db"
        time_kedro(
            project, 2, "run", "--env", "dsb2018", "--nodes", "augmentation.write_policy"
        )  # makes tables
        rounds = [run_round(archive, project) for _ in range(options.rounds)]
    medians = {name: statistics.median(r[name] for r in rounds) for name in rounds[0]}
    loop = medians["decoding_loop_s"]
    ratios = {f"{n}_core_over_loop": medians[f"ingestion_{n}_core_s"] / loop for n in (1, 2)}
    beyond = {"second_run_beyond_start_s": medians["second_run_s"] - medians["kedro_start_s"]}
    result = {**medians, **ratios, **beyond}
    for name, value in result.items():
        print(f"{name:28} {value:8.2f}")
    if options.json:
        options.json.write_text(json.dumps({"medians": result, "rounds": rounds}, indent=2))


if __name__ == "__main__":
    main()
