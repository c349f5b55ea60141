"""Prediction of images of any size, window by window."""
