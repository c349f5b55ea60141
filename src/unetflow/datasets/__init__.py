"""The second floor: catalog entries that kedro-datasets lacks."""

from unetflow.datasets.atomic import AtomicDataset
from unetflow.datasets.checkpoints import CheckpointDataset
from unetflow.datasets.exports import BioimageioPackageDataset, ExportsDataset
from unetflow.datasets.image_files import ImageFileDataset, ImageFolderDataset
from unetflow.datasets.label_files import (
    LabelFileDataset,
    LargeResultsDataset,
    ProbabilityFileDataset,
)
from unetflow.datasets.models import (
    ChosenSegmenterDataset,
    KerasModelDataset,
    SegmenterDataset,
    StartModelDataset,
)
from unetflow.datasets.objects import CocoFileDataset, ObjectsFileDataset, TablesDataset
from unetflow.datasets.partitions import PartitionsDataset
from unetflow.datasets.registry import (
    ChampionAliasesDataset,
    ChampionDataset,
    ChampionRecord,
    ChampionRecordDataset,
)
from unetflow.datasets.run_facts import RunFactsDataset
from unetflow.datasets.sample_folders import SamplesDataset, WeightMapsDataset
from unetflow.datasets.sources import DemoPairsDataset, SourceDataset, SourceImagesDataset
from unetflow.datasets.tracked_runs import TrackedRunsDataset
from unetflow.datasets.training_log import FoldLogDataset, TrainingLogDataset

__all__ = [
    "AtomicDataset",
    "BioimageioPackageDataset",
    "ChampionAliasesDataset",
    "ChampionDataset",
    "ChampionRecord",
    "ChampionRecordDataset",
    "CheckpointDataset",
    "ChosenSegmenterDataset",
    "CocoFileDataset",
    "DemoPairsDataset",
    "ExportsDataset",
    "FoldLogDataset",
    "ImageFileDataset",
    "ImageFolderDataset",
    "KerasModelDataset",
    "LabelFileDataset",
    "LargeResultsDataset",
    "ObjectsFileDataset",
    "PartitionsDataset",
    "ProbabilityFileDataset",
    "RunFactsDataset",
    "SamplesDataset",
    "SegmenterDataset",
    "SourceDataset",
    "SourceImagesDataset",
    "StartModelDataset",
    "TablesDataset",
    "TrackedRunsDataset",
    "TrainingLogDataset",
    "WeightMapsDataset",
]
