"""What the stage `training` makes of its parameters; the network itself is not trained here."""

import keras
import numpy as np
import pandas as pd
import pytest

from tests.conftest import ROOT
from unetflow.config.base import read_parameters
from unetflow.config.loss import LOSS_NAMES
from unetflow.config.model import PlannedModel
from unetflow.config.parameters import Plan
from unetflow.config.training import PlannedTraining
from unetflow.core.errors import InputError
from unetflow.core.parallel import count_cores
from unetflow.data.fingerprint import Fingerprint, ImageSize, Spread
from unetflow.data.intensity import IntensityStatistics
from unetflow.pipelines import training as nodes
from unetflow.training import fit as fitting

SIZES = {"epochs": 1, "crop_size": 32, "crops_per_image": 1, "batch_size": 1, "tile": 32}
FINGERPRINT = Fingerprint(
    digest="",
    samples={},
    channels=1,
    dtype="uint8",
    height=Spread(smallest=1, median=1, largest=1),
    width=Spread(smallest=1, median=1, largest=1),
    largest=ImageSize(height=1, width=1),
    intensity=IntensityStatistics([0.0], [255.0], [1.0], [1.0]),
    class_frequencies={"background": 0.8, "nucleus": 0.2},
)


@pytest.fixture
def settings_of(monkeypatch):
    """Return what gives the settings with which the node would train."""
    seen = []

    def fit(unet, training, validation, intensity, augmenter, settings, *others, seed):
        seen.append(settings)
        return pd.DataFrame()

    monkeypatch.setattr(fitting, "fit", fit)
    monkeypatch.setattr(nodes, "samples_of_split", lambda samples, manifest, split: {})
    monkeypatch.setattr("unetflow.unet.geometry_of", lambda unet: None)
    monkeypatch.setattr("unetflow.models.unet.without_deep_supervision", lambda unet: unet)
    inputs = keras.Input((None, None, 1))
    unet = keras.Model(inputs, keras.layers.Identity()(inputs))

    def train(**changes):
        model = PlannedModel(depth=3, base_filters=16)
        plan = Plan(model=model, training=PlannedTraining(**SIZES | changes))
        nodes.train_unet(unet, {}, None, FINGERPRINT, [], {}, {}, plan, 1, None, None)
        return seen[-1]

    return train


def test_the_formula_reaches_the_training(settings_of):
    assert settings_of(loss="0.5*focal + tversky").loss == {"focal": 0.5, "tversky": 1}


@pytest.mark.parametrize(
    ("written", "weights"),
    [("none", "none"), ("balanced", [0.625, 2.5]), ([1, 3.5], [1.0, 3.5])],
)
def test_class_weights_are_none_or_balance_the_training_split_or_are_given(
    settings_of, written, weights
):
    found = settings_of(class_weights=written).class_weights
    assert found == (weights if weights == "none" else pytest.approx(weights))


@pytest.mark.parametrize("written", ["balance", 3, [1.0, 0.0], [1.0, np.inf], [1.0, "2"], None])
def test_other_class_weights_are_refused_with_one_message(written):
    with pytest.raises(InputError) as caught:
        read_parameters(PlannedTraining, {**SIZES, "class_weights": written}, "training")
    assert caught.value.where == "training.class_weights"
    assert caught.value.problem == f"{written!r} is not allowed"
    assert "`balanced`" in caught.value.fix


def test_a_wrong_loss_is_refused_with_the_message_of_its_parser():
    with pytest.raises(InputError) as caught:
        read_parameters(PlannedTraining, {**SIZES, "loss": "dise"}, "training")
    assert str(caught.value) == (
        "training.loss: there is no loss 'dise'. Did you mean 'dice'? "
        f"Known: {', '.join(LOSS_NAMES)}."
    )


def test_the_configuration_and_the_readme_name_every_loss():
    path = ROOT / "conf/base/parameters_training.yml"
    assert f"# Factors of {', '.join(LOSS_NAMES[:-1])} and {LOSS_NAMES[-1]}," in path.read_text()
    table = (ROOT / "README.md").read_text().partition("| loss | what it is | for |")[2]
    rows = table.partition("\n\n")[0].splitlines()[2:]
    assert tuple(row.split("`")[1] for row in rows) == LOSS_NAMES


def test_a_gpu_is_fed_by_processes_and_a_processor_by_threads(settings_of, monkeypatch):
    assert settings_of().processes == 0
    assert settings_of(processes=3).processes == 3
    monkeypatch.setattr("unetflow.training.machine.has_gpu", lambda: True)
    assert settings_of().processes == count_cores()
    assert settings_of(processes=0).processes == 0


def test_the_precision_that_was_chosen_reaches_the_training(settings_of, monkeypatch):
    monkeypatch.setattr("unetflow.training.machine.find_gpu_capability", lambda: (9, 0))
    assert settings_of().precision == "bfloat16"
    assert settings_of(precision="float32").precision == "float32"
