"""Training, validation and test splits, and folds."""
