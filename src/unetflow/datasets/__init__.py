"""Catalog entries that kedro-datasets lacks; for Kedro, the `metadata` of each may be anything."""

from unetflow.datasets.champion import ChampionDataset as ChampionDataset
from unetflow.datasets.file_datasets import AtomicDataset as AtomicDataset
from unetflow.datasets.file_datasets import FileDataset as FileDataset
from unetflow.datasets.file_datasets import PartitionsDataset as PartitionsDataset
from unetflow.datasets.folder_datasets import CheckpointDataset as CheckpointDataset
from unetflow.datasets.folder_datasets import LargeResultsDataset as LargeResultsDataset
from unetflow.datasets.folder_datasets import ObjectTargetsDataset as ObjectTargetsDataset
from unetflow.datasets.folder_datasets import SamplesDataset as SamplesDataset
from unetflow.datasets.folder_datasets import WeightMapsDataset as WeightMapsDataset
from unetflow.datasets.registered_models import ModelSourceDataset as ModelSourceDataset
from unetflow.datasets.sources import DemoPairsDataset as DemoPairsDataset
from unetflow.datasets.sources import ImageFolderDataset as ImageFolderDataset
from unetflow.datasets.sources import SourceDataset as SourceDataset
from unetflow.datasets.sources import SourceImagesDataset as SourceImagesDataset
from unetflow.datasets.tracked_runs import RunFactsDataset as RunFactsDataset
from unetflow.datasets.tracked_runs import TrackedRunsDataset as TrackedRunsDataset
from unetflow.datasets.training_log import TrainingLogDataset as TrainingLogDataset
