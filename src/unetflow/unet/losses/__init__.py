"""What training minimises, by name and as a weighted sum, and the Dice that it shows."""

from unetflow.imaging.loss_formula import parse_formula
from unetflow.unet.losses.metric import dice
from unetflow.unet.losses.segmentation_loss import LOSSES, SegmentationLoss

__all__ = ["LOSSES", "SegmentationLoss", "dice", "parse_formula"]
