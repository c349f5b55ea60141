import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("jax")]  # its trainings run once


@pytest.fixture(scope="module")
def results():
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.other_backend"],
        cwd=Path(__file__).parents[2],
        env={
            **os.environ,
            "KERAS_BACKEND": "jax",
            "JAX_PLATFORMS": "cpu",
            "JAX_DISABLE_MOST_OPTIMIZATIONS": "true",  # compiling takes longer than training
        },
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_the_same_training_runs_under_jax_and_learns(results):
    assert results["backend"] == "jax"
    assert results["one"]["best"] > 0.8
    assert results["one"] == results["again"]


def test_it_trains_in_bfloat16_there_too(results):
    losses = results["normalised, bfloat16"]["loss"]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0] / 2


def test_what_keras_cannot_do_there_is_refused(results):
    assert "training.ema_momentum" in results["average"]
    assert "KERAS_BACKEND=tensorflow" in results["average"]
