"""Training: fitting, resuming, determinism, planning."""
