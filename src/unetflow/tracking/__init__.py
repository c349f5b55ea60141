"""Tracking of runs in MLflow, which is imported when a run starts: its import takes seconds."""
