"""Image files to arrays: one module for each family of formats."""
