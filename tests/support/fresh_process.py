"""A process without this project, which loads registered models as their users do."""

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tests.support.model_server import bare_environment

_PROGRAM = """
import json, sys, threading, time
import mlflow, numpy as np, uvicorn
from mlflow.pyfunc import scoring_server

def serve(model):
    options = {"host": "127.0.0.1", "port": 0, "log_level": "warning"}
    server = uvicorn.Server(uvicorn.Config(scoring_server.init(model), **options))
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.05)
    return server.servers[0].sockets[0].getsockname()[1]

for line in sys.stdin:
    registry, folder = json.loads(line)
    mlflow.set_tracking_uri(registry)
    model = mlflow.pyfunc.load_model("models:/unetflow@champion")
    with np.load(f"{folder}/images.npz") as images:
        masks = {name: model.predict(images[name][np.newaxis])[0] for name in images}
    np.savez(f"{folder}/masks.npz", **masks)
    print("code", sys.modules["unetflow"].__file__)
    print("port", serve(model), flush=True)
"""


class FreshProcess:
    """The process, which imports TensorFlow and MLflow once for all models.

    Args:
        folder: Where it runs and writes what it says.
        options: For the interpreter.
        environment: Besides that of this process.

    Attributes:
        code: The file of the package `unetflow` that it has imported with the first model.
    """

    code = Path()

    def __init__(self, folder: Path, *options: str, **environment: str) -> None:
        self._log = folder / "process.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, *options, "-c", _PROGRAM],
                cwd=folder,
                env=bare_environment(**environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def load(
        self, registry: str, images: list[NDArray[np.generic]], folder: Path
    ) -> tuple[list[NDArray[np.uint8]], str]:
        """Load the champion of a registry.

        Args:
            registry: The address of MLflow's database.
            images: Given to the pyfunc as arrays.
            folder: For files that both processes read.

        Returns:
            The pyfunc's masks, and the address at which MLflow's server answers for this model.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        np.savez(folder / "images.npz", **{str(n): image for n, image in enumerate(images)})
        self._process.stdin.write(json.dumps([registry, str(folder)]) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("code "):
                self.code = Path(line.removeprefix("code ").strip())
            if line.startswith("port "):
                with np.load(folder / "masks.npz") as masks:
                    found = [masks[str(number)] for number in range(len(images))]
                return found, f"http://127.0.0.1:{int(line.split()[1])}"
        raise AssertionError(f"the process has ended:\n{self._log.read_text()}")
