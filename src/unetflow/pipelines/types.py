"""Types of Keras and matplotlib for the annotations of nodes.

Kedro resolves the annotations of nodes whenever it starts, and importing Keras would cost seconds
each time. So only type checkers see the real types.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras import Model as KerasModel
    from matplotlib.figure import Figure

    from unetflow.datasets.training_log import BeginFold
    from unetflow.inference.bioimageio.package import BioimageioPackage
    from unetflow.inference.segmenter import Segmenter, SegmenterSettings
    from unetflow.inference.segmenter_files import Exported
    from unetflow.training.callbacks import TrainingListeners
else:
    BeginFold = BioimageioPackage = Exported = Figure = KerasModel = Segmenter = Any
    SegmenterSettings = TrainingListeners = Any

__all__ = [
    "BeginFold",
    "BioimageioPackage",
    "Exported",
    "Figure",
    "KerasModel",
    "Segmenter",
    "SegmenterSettings",
    "TrainingListeners",
]
