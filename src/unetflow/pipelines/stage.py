"""A stage: nodes that share a name, by which they are chosen and drawn."""

from collections.abc import Iterable

from kedro.pipeline import Node, Pipeline


def stage(name: str, nodes: Iterable[Node], *tags: str) -> Pipeline:
    """Make a pipeline of the nodes of a stage.

    Args:
        name: Becomes a tag, and the namespace that Kedro-Viz draws as one box until it is opened;
            the catalog's entries keep their names.
        nodes: The nodes.
        tags: Further tags.
    """
    return Pipeline(nodes, tags=[name, *tags], namespace=name, prefix_datasets_with_namespace=False)
