"""The stage `construction`: plan and fingerprint -> untrained U-Net and its drawing."""

import logging

from kedro.pipeline import Pipeline

from unetflow.config.classes import Classes
from unetflow.config.parameters import Plan
from unetflow.data.fingerprint import Fingerprint
from unetflow.pipelines.stage import Figure, KerasModel, node, stage

_log = logging.getLogger(__name__)


def create_pipeline() -> Pipeline:
    """Wire the stage."""
    inputs = ["fingerprint", "params:classes", "plan", "params:seed", "start_model"]
    return stage(
        "construction",
        node(construct_unet, inputs, "unet_untrained"),
        node(draw_network, ["unet_untrained", "plan"], "unet_drawing"),
    )


def construct_unet(
    fingerprint: Fingerprint,
    classes: Classes,
    plan: Plan,
    seed: int,
    start_model: tuple[str, KerasModel] | None,
) -> KerasModel:
    """Build the U-Net of the plan for the data's number of channels.

    It takes the weights of the second part of `start_model`, whose first part names the origin, as
    far as they fit; None leaves them random.
    """
    import keras

    from unetflow.models.keras_io import copy_matching_weights
    from unetflow.models.unet import build_unet

    settings = plan.model
    if settings.normalisation in ("group", "instance"):
        _log.warning(
            "%s normalisation depends on a whole tile: masks of images larger than training.tile "
            "depend on the tiling. Raise training.tile above their size",
            settings.normalisation.capitalize(),
        )
    keras.utils.set_random_seed(seed)
    unet = build_unet(
        (None, None, fingerprint.channels),
        classes=settings.count_probabilities(len(classes)),
        **settings.model_dump(exclude={"head"}),
    )
    if start_model is not None:
        where, trained = start_model
        copy_matching_weights(unet, trained, where)
    return unet


def draw_network(unet: KerasModel, plan: Plan) -> Figure:
    """Draw the network with its sizes for a training crop."""
    from unetflow.models.diagram import draw_unet

    return draw_unet(unet, plan.training.crop_size)
