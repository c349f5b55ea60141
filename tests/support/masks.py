"""Masks that several tests of scores try."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from unetflow.metrics.shared import ClassMasks

LABELS = hnp.arrays(np.uint8, (7, 9), elements=st.sampled_from([0, 1, 1, 255]))
BINARY = hnp.arrays(np.uint8, (7, 9), elements=st.sampled_from([0, 1]))
FOUND = hnp.arrays(np.uint8, (7, 9), elements=st.sampled_from([0, 1]))


def drawn(text):
    """Return a label: `#` the class, `.` background, `?` ignored."""
    values = {"#": 1, ".": 0, "?": 255}
    return np.array([[values[sign] for sign in row] for row in text.split()], np.uint8)


def masks(truth, found):
    """Return the masks of the foreground of two drawings or labels."""
    truth, found = (drawn(m) if isinstance(m, str) else np.asarray(m) for m in (truth, found))
    return ClassMasks.of(truth, found, 1)
