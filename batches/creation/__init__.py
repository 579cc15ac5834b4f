"""Adds a batch from a folder of files, or from a batch folder with its mapper report."""
