"""Comparing, counting and pruning."""
