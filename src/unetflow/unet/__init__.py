"""The first floor: the U-Net in Keras, its training and its use.

Keras is imported with the first name that needs it: an exported segmenter predicts without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unetflow.unet.blocks import conv_block, decoder_block, encoder_block
    from unetflow.unet.model import build_unet, geometry_of
    from unetflow.unet.segmenter import Segmenter

_MODULES = {
    "Segmenter": "segmenter",
    "build_unet": "model",
    "conv_block": "blocks",
    "decoder_block": "blocks",
    "encoder_block": "blocks",
    "geometry_of": "model",
}

__all__ = [
    "Segmenter",
    "build_unet",
    "conv_block",
    "decoder_block",
    "encoder_block",
    "geometry_of",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
