"""The names that scripts import: `from unetflow.unet import build_unet, Segmenter`.

Keras is imported with the first name that needs it: an exported segmenter predicts without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unetflow.inference.segmenter import Segmenter
    from unetflow.models.blocks import conv_block, decoder_block, encoder_block
    from unetflow.models.unet import build_unet, geometry_of

_MODULES = {
    "Segmenter": "inference.segmenter",
    "build_unet": "models.unet",
    "conv_block": "models.blocks",
    "decoder_block": "models.blocks",
    "encoder_block": "models.blocks",
    "geometry_of": "models.unet",
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
    return getattr(import_module(f"unetflow.{_MODULES[name]}"), name)
