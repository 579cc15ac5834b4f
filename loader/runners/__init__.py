"""Loops around passes: fnload, fnload --all, and jobs."""
