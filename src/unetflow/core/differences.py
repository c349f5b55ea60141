"""What differs between two records."""

from collections.abc import Mapping
from typing import Any

Identity = Mapping[str, Any]
"""All that a training's result depends on, by name, as plain values that JSON can hold."""


def name_differences(there: Identity, here: Identity) -> list[str]:
    """Return what differs between two identities, in words."""
    found = []
    for name in sorted(there.keys() | here.keys()):
        before, now = there.get(name), here.get(name)
        if before == now:
            continue
        told = len(f"{before}{now}") < 80
        found.append(f"{name} ({before} there, {now} now)" if told else name)
    return found
