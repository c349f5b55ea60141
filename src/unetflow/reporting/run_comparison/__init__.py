"""Trainings side by side: in which parameters, scores and images they differ."""
