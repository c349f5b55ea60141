"""Metrics of segmentations. Pixels whose true label is 255 are ignored."""
