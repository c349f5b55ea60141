"""Overlays, thumbnails and figures."""
