"""What all stages share: the wiring of nodes, and types of other libraries for their annotations.

Kedro resolves the annotations of nodes whenever it starts, and importing Keras would cost seconds
each time. So only type checkers see the real types.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kedro.pipeline import Node, Pipeline

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

__all__ = ["BeginFold", "BioimageioPackage", "Exported", "Figure", "KerasModel", "Segmenter"]
__all__ += ["SegmenterSettings", "TrainingListeners", "list_first", "node", "stage"]


def node(
    function: Callable[..., Any],
    inputs: str | list[str] | dict[str, str],
    outputs: str | list[str] | None = None,
    name: str = "",
) -> Node:
    """Make a node of Kedro that is named as its function, unless it gets another name."""
    return Node(function, inputs, outputs, name=name or function.__name__)


def stage(name: str, *nodes: Node, tags: tuple[str, ...] = ()) -> Pipeline:
    """Make a pipeline of the nodes of a stage.

    Args:
        name: Becomes a tag, and the namespace that Kedro-Viz draws as one box until it is opened;
            the catalog's entries keep their names.
        nodes: The nodes.
        tags: Further tags.
    """
    return Pipeline(nodes, tags=[name, *tags], namespace=name, prefix_datasets_with_namespace=False)


def list_first(rows: list[str], most: int = 10) -> str:
    """Return the first rows as lines, and how many more there are."""
    more = [f"  and {len(rows) - most} more"] if len(rows) > most else []
    return "\n".join([*rows[:most], *more])
