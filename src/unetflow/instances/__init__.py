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
