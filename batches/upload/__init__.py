"""Sends the objects of a batch to its bucket."""
