"""Catalog entries that kedro-datasets lacks; for Kedro, the `metadata` of each may be anything."""

from unetflow.datasets.champion import ChampionDataset
from unetflow.datasets.file_datasets import AtomicDataset, FileDataset, PartitionsDataset
from unetflow.datasets.folder_datasets import (
    CheckpointDataset,
    LargeResultsDataset,
    SamplesDataset,
    WeightMapsDataset,
)
from unetflow.datasets.registered_models import ModelSourceDataset
from unetflow.datasets.sources import (
    DemoPairsDataset,
    ImageFolderDataset,
    SourceDataset,
    SourceImagesDataset,
)
from unetflow.datasets.tracked_runs import RunFactsDataset, TrackedRunsDataset
from unetflow.datasets.training_log import TrainingLogDataset

__all__ = [
    "AtomicDataset",
    "ChampionDataset",
    "CheckpointDataset",
    "DemoPairsDataset",
    "FileDataset",
    "ImageFolderDataset",
    "LargeResultsDataset",
    "ModelSourceDataset",
    "PartitionsDataset",
    "RunFactsDataset",
    "SamplesDataset",
    "SourceDataset",
    "SourceImagesDataset",
    "TrackedRunsDataset",
    "TrainingLogDataset",
    "WeightMapsDataset",
]
