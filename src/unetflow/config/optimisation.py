"""The parameters of `parameters_optimisation.yml`."""

from pydantic import Field

from unetflow.config.base import Count, Fraction, Strict


class OptimisationParameters(Strict):
    """How the pipeline `optimisation` compares runtimes; see `inference.runtimes`."""

    tolerance: Fraction = 0.002
    """by how much the Dice may be lower than Keras's"""
    object_tolerance: Fraction = 0.01
    """by how much the mean F1 of objects over IoU 0.5 to 0.95 may be lower, where they are known"""
    calibration_crops: int = Field(default=64, ge=1, le=300)
    """of the validation images, which measure ranges for int8; labels are not used"""
    timed_images: Count = 4
    """in each round; a speed is the median of the rounds"""
    rounds: Count = 3
    """in each of which all runtimes take turns"""
