"""What may stand in `conf/*/parameters_retraining.yml`."""

from typing import Annotated, Literal

from pydantic import Field

from unetflow.config.validation import Strict

Count = Annotated[int, Field(ge=1)]
Fall = Annotated[float, Field(ge=0, le=1)]


class RetrainingParameters(Strict):
    """The pipeline `retraining`; see `evaluation.promotion`."""

    min_new_labelled: Count | None
    max_age_days: Annotated[float, Field(gt=0)] | None
    watched_images: Count | None
    start_from: Literal["scratch", "champion"]
    non_inferiority_margin: Fall
    largest_fall: Fall
    wait_minutes: Annotated[float, Field(ge=0)]
