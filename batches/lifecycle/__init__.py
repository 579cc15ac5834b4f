"""Rollback, clear and archive."""
