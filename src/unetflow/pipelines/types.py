"""Types of the Keras floor for the annotations of nodes.

Kedro resolves the annotations of nodes whenever it starts, and importing Keras would cost seconds
each time. So only type checkers see the real types.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras import Model as KerasModel

    from unetflow.datasets.training_log import BeginFold
    from unetflow.unet import Segmenter
    from unetflow.unet.bioimageio import BioimageioPackage
    from unetflow.unet.callbacks import TrainingListeners
    from unetflow.unet.fit import FitSettings
    from unetflow.unet.segmenter import SegmenterSettings
    from unetflow.unet.segmenter_files import Exported
else:
    BeginFold = BioimageioPackage = Exported = FitSettings = KerasModel = Segmenter = Any
    SegmenterSettings = TrainingListeners = Any

__all__ = [
    "BeginFold",
    "BioimageioPackage",
    "Exported",
    "FitSettings",
    "KerasModel",
    "Segmenter",
    "SegmenterSettings",
    "TrainingListeners",
]
