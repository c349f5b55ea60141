"""The parameters of `parameters_ingestion.yml`."""

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from unetflow.config.base import Count, Fraction, Strict
from unetflow.config.classes import Value, read_value


class MaskParameters(Strict):
    """What masks hold besides the classes."""

    ignore: list[Any] = Field(default=[])
    """mask values (numbers, colours or names) of pixels that are ignored"""
    binarise_at: int | None = Field(default=None, ge=1, le=65535)
    """for soft edges: values from it on become 255, all others 0, except ignored ones"""
    instances: bool | Literal["mixed"] | None = None
    """whether the values of mask files number objects instead of classes; mixed: those of some
    files do, while others hold one value for all objects; null: recognised"""

    @field_validator("ignore")
    @classmethod
    def _read_ignored(cls, values: list[Any]) -> list[Value]:
        return [read_value(value) for value in values]


class SplitParameters(Strict):
    """How samples are split; see `data.splitting`."""

    strategy: Literal["random", "stratified", "contiguous", "given"] = "random"
    """random; stratified: alike in foreground; contiguous: blocks of neighbours, for slices of a
    volume or frames of a film; given: by `splits` or `split_table` in the catalog"""
    validation: float = Field(default=0.12, gt=0, lt=1)
    """fraction of the samples"""
    test: float = Field(default=0.2, gt=0, lt=1)
    """fraction of the samples; the rest is for training"""
    group: str | None = None
    r"""regular expression searched in the id: samples in which its groups capture the same text
    stay together, as in '^(patient\d+)'"""
    folds: int = Field(default=0, ge=0, le=100)
    """for cross-validation: 3 or more"""

    @model_validator(mode="after")
    def _leaves_training_samples(self) -> Self:
        if self.validation + self.test >= 1:
            raise ValueError("validation and test together leave nothing to train on")
        if self.folds == 1:
            raise ValueError("folds: one fold cannot be held out against others; give 0 or 2 up")
        return self


class LeakageParameters(Strict):
    """What is done about images that are on two sides of the split."""

    duplicates: Literal["stop", "together", "allow"] = "stop"
    """stop; together: keep them on one side; allow: only warn"""
    groups: Literal["stop", "allow"] = "stop"
    """stop or allow"""
    distance: int = Field(default=8, ge=0, le=16)
    """bits of 64 in which the hashes of near duplicates may differ"""


class IngestionParameters(Strict):
    """The stage `ingestion`."""

    masks: MaskParameters = MaskParameters()
    split: SplitParameters = SplitParameters()
    leakage: LeakageParameters = LeakageParameters()
    """the same image, or the same group, on two sides of the split"""
    max_quarantined_fraction: Fraction = 0.05
    """Fraction of the files that may be unusable; above it the run stops with a list of them."""
    max_pixels: Count = 400_000_000
    """Width times height above which an image is refused before it is decoded."""
    workers: Count = 2
    """that decode: threads, or processes where there are thousands of files"""
