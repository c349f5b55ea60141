"""Groups of samples that must stay together."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from unetflow.core.errors import InputError
from unetflow.io.file_listing import compile_pattern, natural_order

_WHERE = "ingestion.split.group"
_GROUP = r"Put brackets around what the samples of a group share, as in '(patient\d+)_'"


def name_groups(
    samples: pd.DataFrame, pattern: str | None, linked: Iterable[tuple[str, str]]
) -> list[str]:
    """Return the name of each sample's group.

    Args:
        samples: The columns `id` and `source_group`.
        pattern: A regular expression that is searched in the ids; the text that its groups
            capture, joined by "_", is the name. Without a match it is the source's group, or else
            the id.
        linked: Pairs of ids whose groups become one, named as the first in natural order.

    Raises:
        InputError: The pattern is wrong, has no group, or matches no id.
    """
    ids = samples["id"].tolist()
    names = [
        identifier if pd.isna(group) else str(group)
        for identifier, group in zip(ids, samples["source_group"], strict=True)
    ]
    if pattern is not None and ids:
        captured = _capture(ids, pattern)
        names = [captured.get(i, name) for i, name in zip(ids, names, strict=True)]
    return _merge(ids, names, linked)


def _capture(ids: list[str], pattern: str) -> dict[str, str]:
    """Return the captured text of each id that matches."""
    expression = compile_pattern(pattern, _WHERE, _GROUP)
    matches = {i: match for i in ids if (match := expression.search(i))}
    if not matches:
        raise InputError(
            _WHERE, f"'{pattern}' matches no sample, for example not '{ids[0]}'", "Correct it"
        )
    return {i: "_".join(text or "" for text in match.groups()) for i, match in matches.items()}


def _merge(ids: list[str], names: list[str], linked: Iterable[tuple[str, str]]) -> list[str]:
    """Rename linked groups; pairs with an unknown id are ignored."""
    name_of = dict(zip(ids, names, strict=True))
    known = [pair for pair in linked if pair[0] in name_of and pair[1] in name_of]
    if not known:
        return names
    ordered = sorted(set(names), key=natural_order)
    number = {name: place for place, name in enumerate(ordered)}
    ends = np.array([[number[name_of[i]] for i in pair] for pair in known]).T
    graph = coo_array((np.ones(len(known)), tuple(ends)), shape=(len(ordered), len(ordered)))
    _, components = connected_components(graph, directed=False)
    first: dict[int, str] = {}
    for name, component in zip(ordered, components, strict=True):
        first.setdefault(int(component), name)
    return [first[int(components[number[name]])] for name in names]
