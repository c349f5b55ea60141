"""The parameters of `parameters_optimisation.yml`."""

from pydantic import Field

from unetflow.config.validation import Count, Fraction, Strict


class OptimisationParameters(Strict):
    """How the pipeline `optimisation` compares runtimes; see `inference.runtimes`."""

    tolerance: Fraction = Field(
        default=0.002, description="by how much the mean Dice may be lower than Keras's"
    )
    calibration_crops: int = Field(
        default=64,
        ge=1,
        le=300,
        description="of the validation images, which measure ranges for int8; labels are not used",
    )
    timed_images: Count = Field(
        default=4, description="in each round; a speed is the median of the rounds"
    )
    rounds: Count = Field(default=3, description="in each of which all runtimes take turns")
