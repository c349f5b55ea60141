"""One HTML page that tells people what the ingestion made of their folder."""
