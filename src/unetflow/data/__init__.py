"""Samples, their table, splits and statistics."""
