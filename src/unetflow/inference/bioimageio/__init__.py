"""Packages of finished segmenters for the model zoo bioimage.io and the programs that read it.

The format is that of bioimageio.spec (0.5), which is imported when a package is written.
"""
