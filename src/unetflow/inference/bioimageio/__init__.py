"""A finished segmenter as a package for the model zoo bioimage.io and the programs that read it.

The format is that of bioimageio.spec (0.5), whose own classes write the description. Keras is
imported with the segmenter that is packaged, bioimageio.spec when the package is written.
"""
