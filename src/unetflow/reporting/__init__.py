"""HTML reports about data and models, and the model card."""
