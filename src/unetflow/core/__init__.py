"""Errors, atomic file writes, digests, random generators and parallel calls."""
