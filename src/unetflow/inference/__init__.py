"""The finished model: raw image in, mask of the same size out."""
