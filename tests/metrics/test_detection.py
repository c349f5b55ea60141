import numpy as np
import pytest

from unetflow.metrics.detection import detect_by_image

NAN = float("nan")
EMPTY = np.array([[0, 0, 255]], np.uint8)
HOLDING = np.array([[0, 2, 255]], np.uint8)
IGNORED = np.full((1, 3), 255, np.uint8)


@pytest.mark.parametrize(
    ("truth", "found", "expected"),
    [
        (EMPTY, [0, 0, 0], (NAN, 0, 0.2)),
        (EMPTY, [0, 1, 0], (NAN, 1, 0.2)),
        (EMPTY, [0, 0, 1], (NAN, 0, 0.2)),  # where the truth is unknown
        (HOLDING, [1, 0, 0], (1, NAN, 0.2)),
        (HOLDING, [0, 0, 1], (0, NAN, 0.2)),
        (IGNORED, [1, 1, 1], (NAN, NAN, NAN)),
    ],
)
def test_an_image_counts_for_detection_by_what_it_holds(truth, found, expected):
    foreground = np.array([[[0.1], [0.2], [0.9]]])
    parts = (1 - foreground, 0.4 * foreground, 0.6 * foreground)
    for probabilities in (foreground, np.concatenate(parts, axis=2)):
        counted = detect_by_image(truth, np.array([found], np.uint8), probabilities)
        assert list(counted) == ["detected", "false_alarm", "foreground_score"]
        assert tuple(counted.values()) == pytest.approx(expected, nan_ok=True)
