"""Orchestrators that run the stages of a retraining; each is an extra of its own."""
