"""Single objects of a mask: extraction, measurements, and files for other programs.

- `objects.find_objects` separates objects by connected pixels or a watershed.
- `objects.measure_objects` returns a table of them, also in micrometres.
- `export_formats` writes polygons for QuPath, regions for ImageJ, and the COCO format.

Polygons and regions come from `contours.trace_outlines`, which follows the edges of pixels. Each
writer replaces its file in one step, and the same objects give the same bytes.
"""
