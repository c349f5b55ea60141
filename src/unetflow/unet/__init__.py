"""The first floor: the U-Net in Keras, its training and its use. Importing it imports Keras."""

from unetflow.unet.blocks import conv_block, decoder_block, encoder_block
from unetflow.unet.model import build_unet, geometry_of
from unetflow.unet.segmenter import Segmenter

__all__ = [
    "Segmenter",
    "build_unet",
    "conv_block",
    "decoder_block",
    "encoder_block",
    "geometry_of",
]
