"""Finds out what ingested: counts, the rule, the verdict, and what follows it."""
