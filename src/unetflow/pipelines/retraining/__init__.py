"""The pipeline `retraining`, and the runner that it needs."""
