"""HTML reports about data, models and runs."""
