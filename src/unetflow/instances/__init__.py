"""Single objects of a mask: extraction, measurements, and files for other programs.

- `extraction.find_objects` separates objects by connected pixels or a watershed.
- `measurements.measure_objects` returns a table of them, also in micrometres.
- `geojson.write_geojson` writes polygons for QuPath.
- `imagej.write_imagej_rois` writes regions for ImageJ's ROI Manager.
- `coco.write_coco` writes the objects of many images in the COCO format.

Polygons and regions come from `contours.trace_outlines`, which follows the edges of pixels. Each
writer replaces its file in one step, and the same objects give the same bytes.
"""
