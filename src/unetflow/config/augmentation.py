"""The parameters of `parameters_augmentation.yml`."""

from typing import Self

from pydantic import Field, model_validator

from unetflow.config.base import Fraction, Strict


class AugmentationParameters(Strict):
    """Random changes of training crops; 0 or false leaves one out.

    Rotation, shift and scale are one step, for half of the crops; what comes in from beyond the
    border is the mirror image.
    """

    flips: bool = True
    """mirror along each axis, in half of the crops each"""
    right_angle_rotations: bool = True
    """rotate by 0, 90, 180 or 270 degrees"""
    rotation: float = Field(default=0.0, ge=0, le=180)
    """largest angle in degrees, to either side"""
    shift: Fraction = 0.0
    """largest shift along each axis, as a fraction of the crop's edge"""
    scale: float = Field(default=0.0, ge=0, lt=1)
    """largest relative change of size: 0.1 for 90 % to 110 %"""
    elastic_grid: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """in pixels: deviation of the displacements of 3 x 3 nodes, in half of the crops; 10 in the
    U-Net paper"""
    elastic_displacement: float = Field(default=0.5, ge=0)
    """in pixels: deviation of a finer elastic deformation, in 3 of 10 crops; below
    elastic_smoothness"""
    elastic_smoothness: float = Field(default=8.0, ge=1, allow_inf_nan=False)
    """in pixels: deviation of the Gaussian that smooths it"""
    brightness: Fraction = 0.1
    """largest shift, as a fraction of the training data's intensity range"""
    contrast: Fraction = 0.2
    """largest change, as a fraction"""
    noise: Fraction = 0.03
    """largest standard deviation of Gaussian noise, as a fraction of the range"""

    @model_validator(mode="after")
    def _does_not_fold(self) -> Self:
        if self.elastic_displacement > self.elastic_smoothness:
            raise ValueError(
                f"elastic_displacement: {self.elastic_displacement:g} pixels fold an image whose "
                f"elastic_smoothness is {self.elastic_smoothness:g} pixels; make it smaller than "
                "that, such as 0.5"
            )
        return self
