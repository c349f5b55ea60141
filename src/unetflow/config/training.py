"""The parameters of `parameters_training.yml`."""

from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
)

from unetflow.config.base import Count, Fraction, Positive, PositiveFinite, Strict
from unetflow.config.loss import read_loss, read_open_loss
from unetflow.core.errors import InputError
from unetflow.core.geometry import unet_geometry


class WeightMapParameters(Strict):
    """How the pixels between objects are weighted; see `augmentation.weight_map`."""

    border_weight: float = Field(default=10.0, ge=0)
    """weight that a gap of no width would add"""
    border_width: Positive = 5.0
    """in pixels"""
    objects: str | None = None
    """the class whose connected pieces are the objects; null: all but the background"""


class TrainingParameters(Strict):
    """The stage `training`; null is planned."""

    epochs: Count | None
    """at most"""
    crop_size: Count | None
    """edge in pixels"""
    crops_per_image: Count | None
    """in each epoch"""
    steps_per_epoch: Count | None = None
    """Batches in an epoch, at most: it then takes the next part of all crops of all images, in
    random order; null: all of them, or what a plan says where they take too long"""
    batch_size: Count | None
    """crops in a batch"""
    tile: Count | None
    """Longest edge in pixels of a window of a predicted image; longer where the depth needs it"""
    learning_rate: Positive = 0.001
    """the highest one"""
    optimiser: Literal["adam", "adamw", "sgd"] = "adam"
    """adam, adamw or sgd"""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """of sgd"""
    nesterov: bool = True
    """of sgd"""
    schedule: Literal["constant", "cosine", "poly", "plateau"] = "cosine"
    """constant; cosine or poly, which fall to 0; or plateau, which halves the rate when no
    epoch is better for a third of the patience"""
    warmup_fraction: float = Field(default=0.05, ge=0, lt=1)
    """Fraction of the steps in which the learning rate rises"""
    loss: Annotated[dict[str, float] | None, BeforeValidator(read_open_loss)] = Field(
        default={"bce": 1.0, "dice": 1.0}
    )
    """Factors of bce, cce, dice, present_dice, focal, tversky, lovasz and cldice, as in
    {bce: 1, dice: 1}. A text such as 0.5*focal + tversky is read, too."""
    class_weights: Literal["none", "balanced"] | list[PositiveFinite] | None = "none"
    """Of bce, cce and focal: none, balanced, or a list, the background first"""
    weight_map: WeightMapParameters | None = None
    """Pixels between objects count more in bce, cce and focal: null, or border_weight, border_width
    and objects"""
    foreground_fraction: Fraction | None = 0.0
    """Fraction of the crops that are made to hold a foreground pixel; an image without any then
    gives way to a random one that has some"""
    weight_decay: float = Field(default=0.004, ge=0)
    """of adamw: fraction that weights lose in each step, times the rate"""
    global_clipnorm: Positive | None = None
    """largest norm of all gradients together"""
    ema_momentum: float = Field(default=0.0, ge=0, lt=1)
    """of the moving average of the weights, such as 0.999, which is then validated and kept; 0 for
    none"""
    patience: Count = 20
    """epochs without a better one, by validation Dice, then loss, after which training stops"""
    validation_images: Count | None = None
    """Validation images that score an epoch, at most, evenly chosen; null: all, or what a plan says
    where they would take more than a quarter of the minutes"""
    minutes: Positive | None = None
    """time after which training stops at an epoch's end"""
    overfit_crops: int = Field(default=0, ge=0)
    """overfit this many crops, to test whether the network can learn"""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """float32, bfloat16, or auto: bfloat16 where the GPU or the processor is faster with it"""
    workers: int = Field(default=2, ge=0)
    """threads that prepare crops"""
    processes: Annotated[int, Field(ge=0)] | None = None
    """Processes that prepare crops instead of threads; null: one for each core with a GPU, else
    none"""

    @field_validator("class_weights", mode="wrap")
    @classmethod
    def _check_class_weights(cls, value: Any, read: ValidatorFunctionWrapHandler) -> Any:
        try:
            return read(value)
        except ValidationError:  # two errors, one for each type of the union
            raise InputError(
                "training.class_weights",
                f"{value!r} is not allowed",
                "Give `none`, `balanced` or a list of positive numbers, the background's first",
            ) from None


class PlannedTraining(TrainingParameters):
    """The same with nothing left to plan."""

    crop_size: Count
    batch_size: Count
    tile: Count
    epochs: Count
    crops_per_image: Count
    loss: Annotated[dict[str, float], BeforeValidator(read_loss)] = Field(
        default={"bce": 1.0, "dice": 1.0}
    )
    class_weights: Literal["none", "balanced"] | list[PositiveFinite] = "none"
    foreground_fraction: Fraction = 0.0


def check_crop(training: TrainingParameters, depth: int, padding: str) -> None:
    """Raise an `InputError` where the crops do not fit a U-Net."""
    crop = training.crop_size
    if crop is not None and not unet_geometry(depth, padding).fits(crop):
        raise refuse_crop(crop, depth, padding)


def refuse_crop(crop: int, depth: int, padding: str) -> InputError:
    """Return the error for a crop that does not fit a U-Net."""
    return InputError(
        "training.crop_size",
        f"{crop} does not fit a U-Net of depth {depth} with {padding} padding",
        f"The nearest sizes that do are {unet_geometry(depth, padding).nearest(crop)}",
    )
