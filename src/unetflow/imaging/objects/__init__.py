"""Objects out of masks, and files of them that other programs open.

- `find_objects` makes objects of a mask of classes, by connected pixels or a watershed.
- `measure_objects` makes a table of them: place, size, outline, intensity; also in micrometres.
- `write_geojson` writes polygons for QuPath.
- `write_imagej_rois` writes regions for ImageJ's ROI Manager.
- `write_coco` writes the objects of many images as COCO does.
- `write_label_tiff` writes class indices or object numbers as an image that keeps the size of a
  pixel, which `read_pixel_size` reads from the source; `write_probability_tiff` does the same of
  probabilities.

Polygons and regions come from `trace_outlines`, which follows the edges of pixels exactly. Each
writer replaces its file in one step, and the same objects give the same bytes.
"""

from unetflow.imaging.objects.coco import write_coco
from unetflow.imaging.objects.geojson import write_geojson
from unetflow.imaging.objects.imagej import write_imagej_rois
from unetflow.imaging.objects.instances import Objects, ObjectSettings, find_objects
from unetflow.imaging.objects.label_tiff import write_label_tiff
from unetflow.imaging.objects.outlines import trace_outlines
from unetflow.imaging.objects.pixel_size import PixelSize, read_pixel_size
from unetflow.imaging.objects.probability_tiff import write_probability_tiff
from unetflow.imaging.objects.table import COLUMNS, measure_objects

__all__ = [
    "COLUMNS",
    "ObjectSettings",
    "Objects",
    "PixelSize",
    "find_objects",
    "measure_objects",
    "read_pixel_size",
    "trace_outlines",
    "write_coco",
    "write_geojson",
    "write_imagej_rois",
    "write_label_tiff",
    "write_probability_tiff",
]
