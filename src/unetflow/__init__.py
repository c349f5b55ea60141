"""unetflow: from a folder of images and masks to a trained, tracked U-Net."""

__version__ = "0.1.0"
