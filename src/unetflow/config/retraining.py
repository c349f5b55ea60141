"""The parameters of `parameters_retraining.yml`."""

from typing import Annotated, Literal

from pydantic import Field

from unetflow.config.validation import Count, Fraction, Strict


class RetrainingParameters(Strict):
    """When to train again, and when the challenger replaces the champion."""

    min_new_labelled: Count | None = Field(
        description="images with new or changed masks, or new themselves, since the champion"
    )
    max_age_days: Annotated[float, Field(gt=0)] | None = Field(description="of the champion")
    watched_images: Count | None = Field(
        description="number of new images from which on the champion's Dice on them is compared "
        "with its registered interval"
    )
    start_from: Literal["scratch", "champion"] = Field(
        description="initial weights of the challenger"
    )
    non_inferiority_margin: Fraction = Field(
        description="the challenger is promoted if the lower end of the 95 % interval of its gain "
        "in Dice on the test images is above minus this margin,"
    )
    max_regression: Fraction = Field(
        description="and no class, and no group of several images, loses more mean Dice than this"
    )
    wait_minutes: Annotated[float, Field(ge=0)] = Field(
        description="to wait for another retraining in this folder before giving up"
    )
