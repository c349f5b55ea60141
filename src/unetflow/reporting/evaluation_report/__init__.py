"""HTML report about the quality of a model, its errors and possible improvements."""
