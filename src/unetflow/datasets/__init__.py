"""The second floor: catalog entries that kedro-datasets lacks."""

from unetflow.datasets.atomic import AtomicDataset
from unetflow.datasets.epoch_log import MlflowEpochLogDataset
from unetflow.datasets.image_files import ImageFileDataset, ImageFolderDataset
from unetflow.datasets.models import KerasModelDataset, SegmenterDataset
from unetflow.datasets.samples import SamplesDataset
from unetflow.datasets.sources import DemoPairsDataset, SourceDataset, SourceImagesDataset

__all__ = [
    "AtomicDataset",
    "DemoPairsDataset",
    "ImageFileDataset",
    "ImageFolderDataset",
    "KerasModelDataset",
    "MlflowEpochLogDataset",
    "SamplesDataset",
    "SegmenterDataset",
    "SourceDataset",
    "SourceImagesDataset",
]
