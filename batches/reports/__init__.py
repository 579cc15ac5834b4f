"""The ingest report, and the causes of failures."""
