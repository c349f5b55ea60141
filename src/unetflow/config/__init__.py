"""The parameters: one model for each `parameters_<stage>.yml`."""
