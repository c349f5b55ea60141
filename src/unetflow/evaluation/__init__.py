"""Scores, calibration, uncertainty and promotion of models."""
