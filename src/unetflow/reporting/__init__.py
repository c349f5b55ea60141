"""HTML pages about data, models and runs."""
