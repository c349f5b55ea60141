"""The content of `metrics.json`: the scores of a segmenter with their definitions."""

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from unetflow.evaluation.confidence_check import ConfidenceCheck
from unetflow.evaluation.object_counts import ObjectCounts


class PooledSummary(BaseModel):
    """One score of all images together, with a bound on its error; see `ScoreSummary`."""

    value: float
    error: float = 0.0
    definition: str
    computation: dict[str, str]


class ScoreSummary(BaseModel):
    """One score over the `images` that have it, with the parts of its definition by name.

    The 95 % confidence interval of the mean is None for a single image or group.
    """

    mean: float
    interval: tuple[float, float] | None
    smallest: float
    largest: float
    images: int
    definition: str
    computation: dict[str, str]


class Metrics(BaseModel):
    """The scores of a segmenter by name, as `metrics.json` holds them.

    Attributes:
        measured: Name of the foreground, or how many classes the scores are means of; "class" in
            JSON.
        threshold: See `Postprocessing`.
        test_images: Number of test images.
        scores: A class that is in no test image has no score.
        pooled: Scores of all images together.
        images_with_foreground: Number of the test images that hold foreground. This and all that
            follows are None or empty in files of earlier versions.
        empty_images: Number of those that hold none.
        false_alarms: Number of the empty images in which something was found.
        yardsticks: The charged Dice of what needs no learning, by name; see
            `evaluation.charged.count_yardsticks`. Empty where no test image holds foreground.
        beats_yardsticks: Whether the charged Dice of the segmenter is above all of them.
        objects: Found and true objects; None where no test image numbers its objects.
        objects_by_class: The same of each class, where there are several.
        confidence: Check of the confidence of objects; None where they have none.
    """

    model_config = ConfigDict(frozen=True, serialize_by_alias=True)

    measured: str = Field(
        validation_alias=AliasChoices("class", "measured"), serialization_alias="class"
    )
    threshold: float | None
    test_images: int
    scores: dict[str, ScoreSummary]
    pooled: dict[str, PooledSummary]
    images_with_foreground: int | None = None
    empty_images: int | None = None
    false_alarms: int | None = None
    yardsticks: dict[str, float] = {}
    beats_yardsticks: bool | None = None
    objects: ObjectCounts | None = None
    objects_by_class: dict[str, ObjectCounts] = {}
    confidence: ConfidenceCheck | None = None
