"""The settled parameters of a training."""

from typing import Any

from pydantic import Field, model_validator

from unetflow.config.model import PlannedModel
from unetflow.config.renames import rename_parameters
from unetflow.config.training import PlannedTraining
from unetflow.config.validation import Strict


class Plan(Strict):
    """The parameters of network and training with nothing left open, and why.

    Where nothing was open, there are no reasons and no predictions.
    """

    model: PlannedModel
    training: PlannedTraining
    reasons: dict[str, str] = Field(default={}, description="one sentence for each planned one")
    steps: int | None = Field(default=None, description="of the whole training")
    memory_gb: float | None = Field(
        default=None, description="predicted peak of the process's resident memory, 10^9 bytes"
    )
    minutes: float | None = Field(
        default=None, description="predicted time of the training with its validation"
    )

    @model_validator(mode="before")
    @classmethod
    def _read_old_names(cls, values: Any) -> Any:
        if isinstance(values, dict):
            list(rename_parameters(values))
        return values
