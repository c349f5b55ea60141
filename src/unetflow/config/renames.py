"""Names of parameters in earlier versions, and the names that took their place."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from unetflow.config.evaluation import MAX_LOST_OBJECTS

RENAMED = {
    "construction": "model",
    "ingestion.masks.threshold": "ingestion.masks.binarise_at",
    "training.foreground_share": "training.foreground_fraction",
    "training.warmup_share": "training.warmup_fraction",
    "training.clip_norm": "training.global_clipnorm",
    "training.moving_average": "training.ema_momentum",
    "training.memorise_crops": "training.overfit_crops",
    "evaluation.object_size_percentiles": "evaluation.max_lost_objects",
    "retraining.largest_fall": "retraining.max_regression",
    "mask_export.engine": "mask_export.runtime",
    "mask_export.runner": "mask_export.executor",
    "mask_export.objects.neighbours": "mask_export.objects.connectivity",
    "mask_export.objects.seed_distance": "mask_export.objects.min_distance",
    "mask_export.objects.seed_height": "mask_export.objects.min_height",
    "mask_export.large.from_pixels": "mask_export.large.min_pixels",
    "mask_export.large.background.least_deviation": "mask_export.large.background.min_deviation",
    "mask_export.large.background.least_range": "mask_export.large.background.min_range",
    "mask_export.large.background.greatest_mean": "mask_export.large.background.max_mean",
}
"""Old names as they stand in `parameters` and in a preset; of a section, all that is in it."""


def _to_fraction(percentiles: Any) -> Any:
    """Return the fraction that the highest percentile stands for; None for an empty list."""
    if not isinstance(percentiles, list):
        return percentiles
    known = [value for value in percentiles if isinstance(value, int | float)]
    if len(known) < len(percentiles):
        return percentiles
    return min(max(known) / 100, MAX_LOST_OBJECTS) if known else None


CONVERTED: Mapping[str, Callable[[Any], Any]] = {
    "evaluation.object_size_percentiles": _to_fraction,
}
"""By the old name of a parameter, what makes the present value of its old one."""

RENAMED_VALUES = {"evaluation.scores": {"thin": "centreline"}}
"""By the present name of a parameter, its old values (or those in its list) and the new ones."""

_DATASETS = "unetflow.datasets"
RENAMED_DATASETS: dict[str, dict[str, Any]] = {
    "BioimageioPackageDataset": {"type": f"{_DATASETS}.FileDataset", "format": "bioimageio"},
    "ChampionAliasesDataset": {"type": f"{_DATASETS}.ChampionDataset", "part": "aliases"},
    "ChampionRecordDataset": {"type": f"{_DATASETS}.ChampionDataset", "part": "record"},
    "ChosenSegmenterDataset": {"type": f"{_DATASETS}.ModelSourceDataset", "use": "segmenter"},
    "CocoFileDataset": {"type": f"{_DATASETS}.FileDataset", "format": "coco"},
    "FoldLogDataset": {"type": f"{_DATASETS}.TrainingLogDataset", "folds": True},
    "ImageFileDataset": {"type": f"{_DATASETS}.FileDataset", "format": "image"},
    "KerasModelDataset": {"type": f"{_DATASETS}.FileDataset", "format": "keras"},
    "LabelFileDataset": {"type": f"{_DATASETS}.FileDataset", "format": "labels"},
    "ProbabilityFileDataset": {"type": f"{_DATASETS}.FileDataset", "format": "probabilities"},
    "SegmenterDataset": {"type": f"{_DATASETS}.FileDataset", "format": "segmenter"},
    "StartModelDataset": {"type": f"{_DATASETS}.ModelSourceDataset", "use": "start"},
}
"""Old classes of catalog entries, and the lines that take the place of `type`."""


def rename(name: str) -> str:
    """Return the present name of a parameter or a section."""
    for old, new in RENAMED.items():
        if name == old or name.startswith(f"{old}."):
            name = new + name.removeprefix(old)
    return name


def rename_parameters(parameters: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Move values from old names to the present ones, in place, where they win.

    Args:
        parameters: Of a run, or of a preset, after all files have been merged.

    Yields:
        Each old name that was there, and the present one.
    """
    if isinstance(parameters.get("model"), str):  # the section `model` was `construction` then
        parameters["segmenter"] = parameters.pop("model")
        yield "model", "segmenter"
    for old, new in RENAMED.items():
        section, _, name = old.rpartition(".")
        holder = _find(parameters, section)
        if name not in holder:
            continue
        value = holder.pop(name)
        if old in CONVERTED:
            value = CONVERTED[old](value)
            yield old, f"{new}: {'null' if value is None else value}"
        else:
            yield old, new
        section, _, name = new.rpartition(".")
        holder = _find(parameters, section, make=True)
        if isinstance(value, dict) and isinstance(holder.get(name), dict):
            holder[name].update(value)
        else:
            holder[name] = value
    for where, values in RENAMED_VALUES.items():
        section, _, name = where.rpartition(".")
        holder = _find(parameters, section)
        found = holder.get(name)
        listed = found if isinstance(found, list) else [found]
        for old, new in values.items():
            if old in listed:
                listed = [new if value == old else value for value in listed]
                holder[name] = listed if isinstance(found, list) else new
                yield f"{where}: {old}", f"{where}: {new}"


def rename_datasets(entry: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Replace an old class of a catalog entry, or of its `dataset`, in place.

    Args:
        entry: Of the catalog, or a part of one.

    Yields:
        Each old class that was there, and the present one with its arguments.
    """
    if isinstance(entry.get("dataset"), str):
        inner = {"type": entry["dataset"]}
        renamed = list(rename_datasets(inner))
        if renamed:
            entry["dataset"] = inner
        yield from renamed
    elif isinstance(entry.get("dataset"), dict):
        yield from rename_datasets(entry["dataset"])
    package, _, name = str(entry.get("type")).rpartition(".")
    if package == _DATASETS and name in RENAMED_DATASETS:
        present = RENAMED_DATASETS[name]
        entry.update(present)
        lines = ", ".join(f"{key}: {value}" for key, value in present.items())
        yield f"type: {package}.{name}", lines


def _find(parameters: dict[str, Any], section: str, *, make: bool = False) -> dict[str, Any]:
    """Return a section; an empty one where it is missing or null."""
    for part in section.split(".") if section else ():
        found = parameters.get(part)
        if not isinstance(found, dict):
            found = {}
            if make:
                parameters[part] = found
        parameters = found
    return parameters
