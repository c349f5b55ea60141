"""The examples in the docstrings of the package `models`."""

import importlib
import inspect
import pkgutil
import re
import shutil
import textwrap
from pathlib import Path

import keras
import pytest

from tests.support.networks import tiny_unet
from unetflow import models
from unetflow.core.geometry import Geometry
from unetflow.data.intensity import IntensityRange
from unetflow.models.keras_io import load_keras, save_keras
from unetflow.models.segmentation_loss import dice
from unetflow.models.unet import build_unet


def _find_examples():
    for info in pkgutil.walk_packages(models.__path__, f"{models.__name__}."):
        module = importlib.import_module(info.name)
        for name, value in vars(module).items():
            if getattr(value, "__module__", "") == info.name and inspect.getdoc(value):
                for code in re.findall(r"```python\n(.*?)```", inspect.getdoc(value), re.DOTALL):
                    yield pytest.param(module, textwrap.dedent(code), id=name)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The file of the network that an example starts from."""
    path = tmp_path_factory.mktemp("trained") / "trained.keras"
    save_keras(build_unet((None, None, 3), base_filters=16), path)
    return path


@pytest.mark.parametrize(("module", "code"), list(_find_examples()))
def test_an_example_runs_and_shows_what_it_says(module, code, trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = Path(shutil.copy(trained, tmp_path))
    names = {
        **{"keras": keras, "build_unet": build_unet, "dice": dice, "load_keras": load_keras},
        **{"Geometry": Geometry, "IntensityRange": IntensityRange, "unet": tiny_unet()},
        **{"path": path, **vars(module)},
    }
    exec(code, names)  # noqa: S102 - our own docstrings
    *_, last = code.strip().splitlines()
    statement, _, promised = last.partition("  # ")
    if promised:
        assert str(eval(statement, names)).strip("()") == promised.strip("()")  # noqa: S307
