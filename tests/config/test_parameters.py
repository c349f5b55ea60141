"""The parameter models against the files of `conf/base`."""

import re
from collections.abc import Iterator
from typing import get_args

import pytest
from pydantic import BaseModel

from tests.conftest import ROOT
from unetflow.config.augmentation import AugmentationParameters
from unetflow.config.base import dump_parameters, read_parameters
from unetflow.config.ingestion import IngestionParameters
from unetflow.config.model import ModelParameters
from unetflow.config.parameters import Parameters
from unetflow.config.training import TrainingParameters
from unetflow.core.errors import InputError
from unetflow.settings import CONFIG_LOADER_ARGS, CONFIG_LOADER_CLASS

BASE = ROOT / "conf/base"


def load(**runtime_params):
    conf = str(ROOT / "conf")
    loader = CONFIG_LOADER_CLASS(
        conf, env="base", runtime_params=runtime_params, **CONFIG_LOADER_ARGS
    )
    return loader["parameters"]


def comments_of(stage: str) -> str:
    """Return the comments of a stage's file as one text."""
    path = BASE / f"parameters_{stage}.yml"
    text = (path if path.exists() else BASE / "parameters.yml").read_text("utf-8")
    comments = re.findall(r"(?:^|\s)#\s?(.*)$", text, re.MULTILINE)
    return " ".join(" ".join(comments).split())


def described(model: type[BaseModel], stage: str, path: str) -> Iterator[tuple[str, str, str]]:
    """Yield each described field of a model and its sections."""
    for name, field in model.model_fields.items():
        if field.description is not None:
            yield stage, f"{path}.{name}", field.description
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from described(part, stage, f"{path}.{name}")


DESCRIBED = [
    case
    for name, field in Parameters.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
    for case in described(field.annotation, name, name)
]


@pytest.mark.parametrize(
    ("stage", "name", "description"), DESCRIBED, ids=[name for _, name, _ in DESCRIBED]
)
def test_the_comments_of_conf_say_what_the_models_say(stage, name, description):
    assert " ".join(description.split()) in comments_of(stage)


@pytest.mark.parametrize("preset", ["lean", "seed", "planned", "paper"])
def test_every_preset_is_valid(preset):
    assert read_parameters(Parameters, load(preset=preset)).preset == preset


def test_the_values_of_conf_are_the_defaults_of_the_models():
    parameters = read_parameters(Parameters, load())
    assert parameters.ingestion == IngestionParameters()
    assert parameters.augmentation == AugmentationParameters()
    assert parameters.model == ModelParameters(base_filters=16, depth=3)
    sizes = {"crop_size": 128, "crops_per_image": 1, "batch_size": 4, "tile": 1024}
    assert parameters.training == TrainingParameters(epochs=40, learning_rate=0.002, **sizes)


def test_models_are_immutable():
    parameters = read_parameters(Parameters, load())
    with pytest.raises(ValueError, match="frozen"):
        parameters.training.epochs = 3  # type: ignore[misc]


def test_models_and_plain_sections_are_dumped_alike():
    plain = load()
    models = dict(read_parameters(Parameters, plain))
    assert dump_parameters(models)["ingestion"] == plain["ingestion"]
    assert dump_parameters(plain) == plain


def test_a_name_within_an_optional_section_is_suggested():
    wrong = load(mask_export={"objects": {"methd": "watershed"}})
    with pytest.raises(InputError, match=r"mask_export.objects.methd: .*Did you mean 'method'"):
        read_parameters(Parameters, wrong)
