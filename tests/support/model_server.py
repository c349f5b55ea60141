"""A registered model, and `mlflow models serve` as a process of its own."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from unetflow.inference.segmenter import Segmenter
from unetflow.tracking.model_logging import LoggedModel

PATIENCE = 300


def register(segmenter: Segmenter, folder: Path, database: Path) -> tuple[str, Path]:
    """Make a segmenter the champion of a registry of its own.

    Args:
        segmenter: The segmenter.
        folder: Where everything is written.
        database: One of MLflow's whose tables are made; it is copied.

    Returns:
        The address for `MLFLOW_TRACKING_URI`, and the folder of MLflow's model.
    """
    import mlflow

    shutil.copy(database, folder / "mlflow.db")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    segmenter.save(folder / "segmenter.keras")
    mlflow.set_tracking_uri(uri)
    try:
        client = mlflow.MlflowClient()
        # Not as the process's own experiment, which later tests would find.
        experiment = client.create_experiment("served", (folder / "artifacts").as_uri())
        with mlflow.start_run(experiment_id=experiment):
            model = LoggedModel()
            model.log(folder / "segmenter.keras", segmenter)
            model.register("unetflow", "")
        client.set_registered_model_alias("unetflow", "champion", "1")
    finally:
        mlflow.set_tracking_uri(None)
    return uri, next((folder / "artifacts/models").iterdir()) / "artifacts"


def bare_environment(**changes: str) -> dict[str, str]:
    """Return the environment of a process that finds commands, but not this project."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**kept, "PATH": path, "CUDA_VISIBLE_DEVICES": "-1", **changes}


@contextmanager
def serve(model: str, folder: Path, **environment: str) -> Iterator[str]:
    """Serve a model on a free port of this machine, and give the server's address.

    Args:
        model: As `mlflow models serve -m` takes it.
        folder: Where the server runs and writes what it says.
        environment: Besides that of this process.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["mlflow", "models", "serve", "--env-manager", "local", "-m", model, "-p", str(port)]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            command,
            cwd=folder,
            env=bare_environment(**environment),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            address = f"http://127.0.0.1:{port}"
            _wait(server, address, folder / "server.log")
            yield address
        finally:
            _stop(server)


def ask(address: str, content: Mapping[str, Any] | str) -> requests.Response:
    """Send JSON to a server."""
    sent = {"data": content} if isinstance(content, str) else {"json": content}
    return requests.post(
        f"{address}/invocations",
        headers={"Content-Type": "application/json"},
        timeout=PATIENCE,
        **sent,
    )


def _wait(server: subprocess.Popen[bytes], address: str, log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while server.poll() is None and time.monotonic() < end:
        try:
            if requests.get(f"{address}/ping", timeout=5).ok:
                return
        except requests.RequestException:
            time.sleep(0.2)
    raise AssertionError(f"no server answers:\n{log.read_text()}")


def _stop(server: subprocess.Popen[bytes]) -> None:
    """End the server and what it has started, all of which are in its own group."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, how)
            server.wait(10)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
