"""What every package builds on: errors, whole files, digests, random generators, workers."""
