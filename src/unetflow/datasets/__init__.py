"""Catalog entries that kedro-datasets lacks."""

from unetflow.datasets.atomic import AtomicDataset
from unetflow.datasets.files import FileDataset
from unetflow.datasets.images import ImageFolderDataset
from unetflow.datasets.model_source import ModelSourceDataset
from unetflow.datasets.partitions import PartitionsDataset
from unetflow.datasets.registry import ChampionDataset
from unetflow.datasets.run_facts import RunFactsDataset
from unetflow.datasets.sample_folders import SamplesDataset, WeightMapsDataset
from unetflow.datasets.sources import DemoPairsDataset, SourceDataset, SourceImagesDataset
from unetflow.datasets.tracked_runs import TrackedRunsDataset
from unetflow.datasets.training_log import TrainingLogDataset
from unetflow.datasets.working_folders import CheckpointDataset, LargeResultsDataset

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
