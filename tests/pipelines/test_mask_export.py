"""Which engine segments the images, with segmenters that are no networks."""

from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from tests.conftest import ROOT
from unetflow.imaging.errors import InputError
from unetflow.pipelines.mask_export.nodes import export_masks

BASE = yaml.safe_load((ROOT / "conf/base/parameters_mask_export.yml").read_text())["mask_export"]
IMAGES = {
    "one": SimpleNamespace(read=lambda: np.zeros((3, 4, 1), np.uint8), read_pixel_size=lambda: None)
}


def on_engine(engine, precision):
    """Return a segmenter that finds a mask only where it is asked for in full."""
    found = int((engine, precision) == ("openvino", "bfloat16"))
    return SimpleNamespace(
        settings=SimpleNamespace(classes=["background", "nucleus"]),
        predict=lambda image: np.full(image.shape[:2], found, np.uint8),
        explain_unlikeness=lambda image: "",
    )


SEGMENTER = SimpleNamespace(
    settings=SimpleNamespace(classes=["background", "nucleus"]), on_engine=on_engine
)


@pytest.mark.parametrize(
    ("parameters", "found"), [(BASE, 0), ({"engine": "openvino", "precision": "bfloat16"}, 255)]
)
def test_the_engine_of_the_parameters_segments(parameters, found):
    ((masks, *_),) = export_masks(SEGMENTER, IMAGES, {**parameters, "objects": None})
    np.testing.assert_array_equal(masks["one"], np.full((3, 4), found, np.uint8))


@pytest.mark.parametrize(
    ("name", "value"), [("engine", "tensorrt"), ("precision", "int4"), ("motor", "auto")]
)
def test_parameters_that_make_no_sense_are_refused(name, value):
    with pytest.raises(InputError, match=f"mask_export.{name}"):
        list(export_masks(SEGMENTER, IMAGES, {**BASE, name: value}))
