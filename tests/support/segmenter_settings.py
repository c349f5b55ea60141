"""Settings of segmenters in few words."""

from typing import Any

from unetflow.core.geometry import Geometry
from unetflow.inference.postprocessing import Postprocessing
from unetflow.inference.segmenter_files import SegmenterSettings


def make_settings(
    classes: list[str],
    threshold: float | None,
    channels: int,
    dtype: str,
    geometry: Geometry,
    tile: int,
    **postprocessing: Any,
) -> SegmenterSettings:
    """Return settings; `postprocessing` holds its fields beside the threshold."""
    return SegmenterSettings(
        classes=classes,
        channels=channels,
        dtype=dtype,
        geometry=geometry,
        tile=tile,
        postprocessing=Postprocessing(threshold=threshold, **postprocessing),
    )
