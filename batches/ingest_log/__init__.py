"""Reads the log of the ingest Lambda: which message belongs to which record."""
