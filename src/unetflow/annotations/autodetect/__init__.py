"""Detection of the layout of a folder that nobody has described."""
