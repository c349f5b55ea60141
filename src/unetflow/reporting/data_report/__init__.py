"""HTML report about the data that the ingestion has read."""
