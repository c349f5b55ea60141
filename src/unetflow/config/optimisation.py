"""What may stand in `conf/*/parameters_optimisation.yml`."""

from typing import Annotated

from pydantic import Field

from unetflow.config.validation import Strict

Count = Annotated[int, Field(ge=1)]


class OptimisationParameters(Strict):
    """The stage `optimisation`; see `inference.runtimes.runtime_benchmark.BenchmarkSettings`."""

    tolerance: Annotated[float, Field(ge=0, le=1)]
    calibration_crops: Annotated[int, Field(ge=1, le=300)]
    timed_images: Count
    rounds: Count
