"""The parameters of `parameters_training.yml`."""

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, field_validator

from unetflow.config.loss_terms import parse_formula
from unetflow.config.validation import Count, Fraction, Positive, Strict
from unetflow.core.errors import InputError

Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class WeightMapParameters(Strict):
    """How the pixels between objects are weighted; see `augmentation.weight_map`."""

    border_weight: float = Field(
        default=10.0, ge=0, description="weight that a gap of no width would add"
    )
    border_width: Positive = Field(default=5.0, description="in pixels")
    objects: str | None = Field(
        default=None,
        description="the class whose connected pieces are the objects; null: all but the "
        "background",
    )


class TrainingParameters(Strict):
    """The stage `training`; null is planned."""

    epochs: Count | None = Field(description="at most")
    crop_size: Count | None = Field(description="edge in pixels")
    crops_per_image: Count | None = Field(description="in each epoch")
    batch_size: Count | None = Field(description="crops in a batch")
    tile: Count | None = Field(
        description="Longest edge in pixels of a window of a predicted image; longer where the "
        "depth needs it"
    )
    learning_rate: Positive = Field(description="the highest one")
    optimiser: Literal["adam", "adamw", "sgd"] = Field(description="adam, adamw or sgd")
    momentum: float = Field(ge=0, lt=1, description="of sgd")
    nesterov: bool = Field(description="of sgd")
    schedule: Literal["constant", "cosine", "poly", "plateau"] = Field(
        description="constant; cosine or poly, which fall to 0; or plateau, which halves the rate "
        "when the validation Dice stalls for a third of the patience"
    )
    warmup_fraction: float = Field(
        ge=0, lt=1, description="Fraction of the steps in which the learning rate rises"
    )
    loss: str = Field(
        description="Of bce, cce, dice, focal, tversky, lovasz and cldice, also as in 0.5*focal + "
        "tversky"
    )
    class_weights: Literal["none", "balanced"] | list[Weight] = Field(
        description="Of bce, cce and focal: none, balanced, or a list, the background first"
    )
    weight_map: WeightMapParameters | None = Field(
        description="Pixels between objects count more in bce, cce and focal: null, or "
        "border_weight, border_width and objects"
    )
    foreground_fraction: Fraction = Field(
        description="fraction of the crops that are made to hold a foreground pixel"
    )
    weight_decay: float = Field(
        ge=0, description="of adamw: fraction that weights lose in each step, times the rate"
    )
    global_clipnorm: Positive | None = Field(description="largest norm of all gradients together")
    ema_momentum: float = Field(
        ge=0,
        lt=1,
        description="of the moving average of the weights, such as 0.999, which is then validated "
        "and kept; 0 for none",
    )
    patience: Count = Field(
        description="epochs without a better validation Dice after which training stops"
    )
    minutes: Positive | None = Field(
        description="time after which training stops at an epoch's end"
    )
    overfit_crops: int = Field(
        ge=0, description="overfit this many crops, to test whether the network can learn"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        description="float32, bfloat16, or auto: bfloat16 where the GPU or the processor is faster "
        "with it"
    )
    workers: int = Field(ge=0, description="threads that prepare crops")
    processes: Annotated[int, Field(ge=0)] | None = Field(
        description="Processes that prepare crops instead of threads; null: one for each core with "
        "a GPU, else none"
    )

    @field_validator("loss")
    @classmethod
    def _check_loss(cls, text: str) -> str:
        parse_formula(text)
        return text

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

    epochs: Count
    crop_size: Count
    crops_per_image: Count
    batch_size: Count
    tile: Count
