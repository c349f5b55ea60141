"""Labels and objects that several tests of this package share."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from unetflow.config.mask_export import ObjectParameters
from unetflow.instances.objects import find_objects

NAMES = ["background", "nucleus", "cell"]

LABELS = hnp.arrays(
    np.uint8,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=9),
    elements=st.sampled_from([0, 0, 1, 1, 2, 255]),
)
OBJECTS = st.builds(
    find_objects,
    LABELS,
    st.builds(ObjectParameters, connectivity=st.sampled_from(["edges", "corners"])),
)


def draw(*rows):
    """Make an array of rows such as "..12", where a point is 0 and # is 255."""
    values = {".": 0, "#": 255}
    return np.array([[values.get(c, ord(c) - ord("0")) for c in row] for row in rows], np.uint8)


TRICKY = find_objects(
    draw(
        "1111.2",
        "1.11..",
        "11.1.1",
        "1111..",
        ".....1",
        "22..1.",
    )
)
"""Two holes that meet at a corner, objects of one pixel and at the border, a diagonal one."""


def fill(rings, shape):
    """Return the pixels that an odd number of rings is around; all sides are level or upright."""
    mask = np.zeros(shape, bool)
    for ring in rings:
        for (x, y), (next_x, next_y) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            assert x == next_x or y == next_y
            mask[int(min(y, next_y)) : int(max(y, next_y)), int(x) :] ^= True
    return mask
